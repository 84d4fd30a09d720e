"""A GAN in Keras's own terms: a model with `compile` and `fit`, and callbacks in `train`."""
