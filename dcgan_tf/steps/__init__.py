"""Other training algorithms, and other ways to get the gradients."""
