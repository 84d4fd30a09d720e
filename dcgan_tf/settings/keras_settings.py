"""Context managers that set Keras's global state while models are built, then restore it."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import keras

from dcgan_tf.settings.errors import UserError

POLICIES = {"bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Builds the layers inside with initial weights that depend only on the seed.

    Keras draws the seeds of its initializers from Python's `random`, whose state is restored.
    """
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


@contextlib.contextmanager
def compute_in(precision: str) -> Iterator[None]:
    """Keras objects built inside compute in this precision, with float32 weights, on NHWC images.

    Keras's own settings are ignored inside, and restored afterwards.

    Raises:
        UserError: Keras's backend is not TensorFlow.
    """
    backend = keras.config.backend()
    if backend != "tensorflow":
        raise UserError(
            f"Keras uses the {backend} backend, but these models need TensorFlow: set the "
            f"environment variable KERAS_BACKEND to tensorflow before importing Keras"
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
