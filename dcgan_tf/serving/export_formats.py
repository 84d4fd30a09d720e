"""The formats that a generator is exported in: how each is written, and loaded again."""

from __future__ import annotations

import contextlib
import io
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from dcgan_tf.data import to_uint8
from dcgan_tf.fast.layers import plain
from dcgan_tf.pretrained.weights import save_weights
from dcgan_tf.run_directory import RunDirectory
from dcgan_tf.sampling import Sampler, compile_generator, load_generator


class Exported(NamedTuple):
    """What is exported.

    Attributes:
        run: the run that it is from.
        step: of its checkpoint.
        generator: made of Keras's own layers, in float32.
    """

    run: RunDirectory
    step: int
    generator: keras.Sequential


def write_keras(exported: Exported, path: Path) -> None:
    """Keras's own format."""
    exported.generator.save(path)


def load_keras(path: Path) -> Sampler:
    """Loads it without running any code from it."""
    return compile_generator(keras.saving.load_model(path, safe_mode=True))


def write_saved_model(exported: Exported, path: Path) -> None:
    """TensorFlow's format, with the signature `serving_default`: `noise` to uint8 `images`."""
    generator = exported.generator
    shape = [None, *generator.input_shape[1:]]

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32, "noise")])
    def serve(noise: tf.Tensor) -> dict[str, tf.Tensor]:
        pixels = tf.round(generator(noise, training=False) * 127.5 + 127.5)
        return {"images": tf.cast(tf.clip_by_value(pixels, 0.0, 255.0), tf.uint8)}

    module = tf.Module()
    module.generator = generator
    tf.saved_model.save(module, str(path), signatures=serve)


def load_saved_model(path: Path) -> Sampler:
    """Its default signature."""
    module = tf.saved_model.load(str(path))
    serve = module.signatures["serving_default"]
    return lambda noise: serve(noise=tf.constant(noise))["images"].numpy()


def write_tflite(exported: Exported, path: Path) -> None:
    """TFLite with float32 weights."""
    path.write_bytes(convert(tf.lite.TFLiteConverter.from_keras_model(exported.generator)))


def write_tflite_float16(exported: Exported, path: Path) -> None:
    """TFLite with float16 weights."""
    converter = tf.lite.TFLiteConverter.from_keras_model(exported.generator)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    path.write_bytes(convert(converter))


def convert(converter: tf.lite.TFLiteConverter) -> bytes:
    """The model in TFLite's format, without what Keras prints on the way."""
    with contextlib.redirect_stdout(io.StringIO()):
        return converter.convert()


def load_tflite(path: Path) -> Sampler:
    """By TensorFlow's interpreter, which draws image by image."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*tf.lite.Interpreter is deprecated")
        interpreter = tf.lite.Interpreter(
            str(path),
            experimental_op_resolver_type=(
                tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
            ),
        )
    interpreter.allocate_tensors()
    (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()

    def draw_one(noise: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(given["index"], noise[np.newaxis])
        interpreter.invoke()
        return to_uint8(interpreter.get_tensor(made["index"])[0])

    return lambda noise: np.stack([draw_one(each) for each in noise])


def write_run(exported: Exported, path: Path) -> None:
    """A run directory with the generator alone, its kernels in float16."""
    run = RunDirectory(path)
    path.mkdir()
    shutil.copy(exported.run.config_file, run.config_file)
    save_weights(run.generator_file, exported.generator, exported.step)


def load_run(path: Path) -> Sampler:
    """In float32, whatever the run computes in."""
    generator, _, _ = load_generator(RunDirectory(path))
    return compile_generator(plain(generator))


class ExportFormat(NamedTuple):
    """A format.

    Attributes:
        write: writes it to a path.
        load: loads it from there.
        tolerance: how far its images may be from the generator's, in units of [0, 255].
    """

    write: Callable[[Exported, Path], None]
    load: Callable[[Path], Sampler]
    tolerance: int


# By the name of the file or folder.
FORMATS = {
    "generator.keras": ExportFormat(write_keras, load_keras, 1),
    "saved_model": ExportFormat(write_saved_model, load_saved_model, 1),
    "generator.tflite": ExportFormat(write_tflite, load_tflite, 1),
    "generator_float16.tflite": ExportFormat(write_tflite_float16, load_tflite, 4),
    "run": ExportFormat(write_run, load_run, 4),
}
