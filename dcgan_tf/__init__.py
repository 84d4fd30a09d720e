"""A DCGAN in Keras and TensorFlow: learn it, train it, trust it.

Beside the tutorial, read `data`, `models`, `layers`, `losses`, `optimizers`, `gan`, `train_step`,
`training`; then `run/checkpoints` and `reporting/images` (the GIF).

The names are those of `__init__.pyi`, and each is imported when it is first used.
"""

import logging
import os
import sys

import lazy_loader

# Whatever the user has Keras use elsewhere. Both variables are read as the libraries are imported.
os.environ["KERAS_BACKEND"] = "tensorflow"
if hasattr(sys.modules.get("keras"), "config"):
    import keras

    if keras.config.backend() != "tensorflow":
        raise ImportError(
            f"Keras was imported with the backend {keras.config.backend()}: import dcgan_tf before "
            f"it, or set KERAS_BACKEND=tensorflow"
        )

# TensorFlow has oneDNN's convolutions, and leaves them off where a processor has no AVX-512.
if "TF_ENABLE_ONEDNN_OPTS" not in os.environ and "tensorflow" in sys.modules:
    from tensorflow.python.util import _pywrap_util_port

    if not _pywrap_util_port.IsMklEnabled():
        logging.getLogger(__name__).warning(
            "TensorFlow was imported before dcgan_tf, and without oneDNN's kernels: for the speed "
            "and the numbers of the commands, import dcgan_tf first, or set TF_ENABLE_ONEDNN_OPTS=1"
        )
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

__version__ = "0.2.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
