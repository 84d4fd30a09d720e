"""A DCGAN in Keras and TensorFlow: learn it, train it, trust it.

The names are those of `__init__.pyi`, and each is imported when it is first used.
"""

import lazy_loader

__version__ = "0.2.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
