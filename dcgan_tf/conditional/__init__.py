"""Labels of images, and models that learn them."""
