"""How good images are: metrics, feature extractors, classifiers, the linear probe."""
