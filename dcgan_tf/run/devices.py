"""The device on which models are placed, and whose kernels compute there."""

import tensorflow as tf
from tensorflow.python.util import _pywrap_util_port  # TensorFlow's own tests ask it the same way


def device_name() -> str:
    """The device on which TensorFlow places the models."""
    gpus = tf.config.get_visible_devices("GPU")
    if gpus:
        return tf.config.experimental.get_device_details(gpus[0]).get("device_name", gpus[0].name)
    return "CPU"


def onednn_is_on() -> bool:
    """Whether oneDNN's kernels are on in this process.

    TensorFlow reads `TF_ENABLE_ONEDNN_OPTS` once, as it is imported: what the variable says later
    changes nothing.
    """
    return _pywrap_util_port.IsMklEnabled()


def cpu_kernels() -> str:
    """Whose kernels compute on the CPU."""
    return "oneDNN" if onednn_is_on() else "Eigen"
