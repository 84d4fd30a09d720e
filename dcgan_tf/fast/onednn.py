"""Whether TensorFlow computes with oneDNN's kernels."""

from tensorflow.python.util import _pywrap_util_port  # TensorFlow's own tests ask it the same way


def onednn_is_on() -> bool:
    """Whether oneDNN's kernels are on in this process.

    TensorFlow reads `TF_ENABLE_ONEDNN_OPTS` once, as it is imported: what the variable says later
    changes nothing.
    """
    return _pywrap_util_port.IsMklEnabled()
