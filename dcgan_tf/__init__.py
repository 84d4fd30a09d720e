"""A DCGAN in Keras and TensorFlow: learn it, train it, trust it."""
