"""A DCGAN in Keras and TensorFlow: learn it, train it, trust it.

Beside the tutorial, read `data`, `models`, `layers`, `losses`, `optimizers`, `gan`, `train_step`,
`training`; then `run/checkpoints` and `reporting/images` (the GIF).

The names are those of `__init__.pyi`, and each is imported when it is first used. The package
changes nothing outside itself: the environment and the process are its commands' to set.
"""

import lazy_loader

__version__ = "0.2.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
