"""The device that TensorFlow places models on, and the kernels that it uses there."""

import tensorflow as tf
from tensorflow.python.util import _pywrap_util_port  # as in TensorFlow's own tests


def device_name() -> str:
    """The name of the device that TensorFlow places models on."""
    gpus = tf.config.get_visible_devices("GPU")
    if gpus:
        return tf.config.experimental.get_device_details(gpus[0]).get("device_name", gpus[0].name)
    return "CPU"


def onednn_is_on() -> bool:
    """Whether this process uses oneDNN's kernels.

    TensorFlow reads `TF_ENABLE_ONEDNN_OPTS` only once, at import.
    """
    return _pywrap_util_port.IsMklEnabled()


def cpu_kernels() -> str:
    """The library of the CPU kernels, "oneDNN" or "Eigen"."""
    return "oneDNN" if onednn_is_on() else "Eigen"
