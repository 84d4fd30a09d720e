"""A GAN as a Keras model with `compile` and `fit`, and Keras callbacks in `train`."""
