"""A DCGAN in Keras and TensorFlow: learn it, train it, trust it.

Alongside the tutorial, read `data`, `models`, `layers`, `losses`, `optimizers`, `gan`,
`train_step`, `training`; then `run/checkpoints` and `reporting/images` (the GIF).

`__init__.pyi` lists the public names, which are imported lazily. The package does not change the
environment, the process or Keras's settings. Only its commands do.
"""

import lazy_loader

__version__ = "0.2.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
