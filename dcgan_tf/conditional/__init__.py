"""Labels of images, given or found as clusters, and models that learn them."""
