"""Starting from the weights of another run, and growing to larger images."""
