"""A DCGAN in Keras and TensorFlow: learn it, train it, trust it.

Beside the tutorial, read `data`, `models`, `layers`, `losses`, `optimizers`, `gan`, `train_step`,
`training`; then `run/checkpoints` and `reporting/images` (the GIF).

The names are those of `__init__.pyi`, and each is imported when it is first used.
"""

import os

import lazy_loader

os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever the user has Keras use elsewhere
# TensorFlow has oneDNN's convolutions, and leaves them off where a processor has no AVX-512.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

__version__ = "0.2.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
