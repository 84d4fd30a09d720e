"""A DCGAN in Keras and TensorFlow: learn it, train it, trust it."""

__version__ = "0.2.0"
