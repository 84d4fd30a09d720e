"""What Keras itself is set to while models are made, and put back afterwards."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import keras

from dcgan_tf.settings.errors import UserError

POLICIES = {"bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """The weights of layers that are made within are functions of the seed.

    Keras draws the seeds of its initializers from Python's `random`, whose state is put back.
    """
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


@contextlib.contextmanager
def compute_in(precision: str) -> Iterator[None]:
    """Keras objects that are made within compute in this precision, with float32 weights, on NHWC.

    What Keras is configured for elsewhere has no say in them, and is put back.

    Raises:
        UserError: Keras runs on another backend than TensorFlow.
    """
    backend = keras.config.backend()
    if backend != "tensorflow":
        raise UserError(
            f"Keras runs on the backend {backend}, and these models need TensorFlow: set the "
            f"environment variable KERAS_BACKEND to tensorflow before Keras is imported"
        )
    before = keras.config.image_data_format(), keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy(POLICIES.get(precision, "float32"))
    try:
        yield
    finally:
        keras.config.set_image_data_format(before[0])
        keras.config.set_floatx(before[1])
        keras.config.set_dtype_policy(before[2])
