"""The quality of images: metrics, feature extractors, classifiers, the linear probe."""
