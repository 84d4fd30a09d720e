"""Export formats for generators: how to write and load each."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from dcgan_tf.data import to_uint8
from dcgan_tf.datasets.transparency import straight
from dcgan_tf.fast.keras_layers import plain
from dcgan_tf.pretrained.weights import save_weights
from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.sampling.sampler import compile_generator, load_discriminator, load_generator
from dcgan_tf.settings.errors import UserError

INPUTS = ("noise", "label")


# Maps noise, float32 [N, noise_dim], and class indices, int32 [N], in a conditional run, to images,
# uint8 [N, H, W, C] in [0, 255].
Draw = Callable[..., np.ndarray]


class Exported(NamedTuple):
    """A generator to export.

    Attributes:
        run: the generator's run.
        step: the checkpoint's step.
        generator: the generator, made of Keras's own layers, in float32.
        model: the generator; in a conditional run, with inputs `noise` and `label`.
    """

    run: RunDirectory
    step: int
    generator: keras.Sequential
    model: keras.Model


def write_keras(exported: Exported, path: Path) -> None:
    """Writes Keras's own format."""
    exported.model.save(path)


def load_keras(path: Path) -> Draw:
    """Loads Keras's format, without running code from the file."""
    model = keras.saving.load_model(path, safe_mode=True)
    draw = tf.function(lambda *inputs: model(inputs[0] if len(inputs) == 1 else inputs))
    return lambda *inputs: to_uint8(draw(*map(tf.constant, inputs)))


def write_saved_model(exported: Exported, path: Path) -> None:
    """Writes a SavedModel whose signature `serving_default` maps `noise` to uint8 `images`.

    In a conditional run, it also takes `label`.
    """
    model = exported.model
    specs = [
        tf.TensorSpec(given.shape, given.dtype, name) for name, given in zip(INPUTS, model.inputs)
    ]

    @tf.function(input_signature=specs)
    def serve(*inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        images = model(inputs[0] if len(inputs) == 1 else inputs, training=False)
        pixels = tf.round(straight(images * 127.5 + 127.5))
        return {"images": tf.cast(tf.clip_by_value(pixels, 0.0, 255.0), tf.uint8)}

    module = tf.Module()
    module.generator = model
    tf.saved_model.save(module, str(path), signatures=serve)


def load_saved_model(path: Path) -> Draw:
    """Loads the default signature of a SavedModel."""
    module = tf.saved_model.load(str(path))
    serve = module.signatures["serving_default"]
    return lambda *inputs: serve(**dict(zip(INPUTS, map(tf.constant, inputs))))["images"].numpy()


def write_tflite(exported: Exported, path: Path) -> None:
    """Writes TFLite with float32 weights."""
    path.write_bytes(convert(tf.lite.TFLiteConverter.from_keras_model(with_batch_of(1, exported))))


def write_tflite_float16(exported: Exported, path: Path) -> None:
    """Writes TFLite with float16 weights."""
    converter = tf.lite.TFLiteConverter.from_keras_model(with_batch_of(1, exported))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    path.write_bytes(convert(converter))


def with_batch_of(size: int | None, exported: Exported) -> keras.Model:
    """The model with a fixed batch size, or None for any; TFLite only upsamples batches of one."""
    inputs = [
        keras.Input(batch_shape=(size, *given.shape[1:]), dtype=given.dtype, name=name)
        for name, given in zip(INPUTS, exported.model.inputs)
    ]
    return keras.Model(inputs, exported.model(inputs[0] if len(inputs) == 1 else inputs))


def convert(converter: tf.lite.TFLiteConverter) -> bytes:
    """Converts the model to TFLite's format, and hides what Keras prints."""
    with contextlib.redirect_stdout(io.StringIO()):
        return converter.convert()


def make_interpreter(path: Path) -> Any:
    """TensorFlow's TFLite interpreter, or LiteRT's if TensorFlow has none.

    Raises:
        UserError: neither is available.
    """
    if hasattr(tf.lite, "Interpreter"):
        interpreter, resolvers = tf.lite.Interpreter, tf.lite.experimental.OpResolverType
    else:
        try:
            litert = importlib.import_module("ai_edge_litert.interpreter")
        except ImportError:
            raise UserError(
                f"TensorFlow {tf.__version__} can't check the TFLite files, and LiteRT is missing: "
                f"pip install ai-edge-litert"
            ) from None
        interpreter, resolvers = litert.Interpreter, litert.OpResolverType
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(?s).*use the LiteRT interpreter")
        return interpreter(
            str(path), experimental_op_resolver_type=resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        )


def load_tflite(path: Path) -> Draw:
    """Loads TFLite with an interpreter, which draws one image at a time."""
    interpreter = make_interpreter(path)
    interpreter.allocate_tensors()
    # The noise has more dimensions than a label.
    given = sorted(interpreter.get_input_details(), key=lambda detail: -len(detail["shape"]))
    (made,) = interpreter.get_output_details()

    def draw_one(*inputs: np.ndarray) -> np.ndarray:
        for detail, value in zip(given, inputs):
            interpreter.set_tensor(detail["index"], value[np.newaxis])
        interpreter.invoke()
        return to_uint8(interpreter.get_tensor(made["index"])[0])

    return lambda *inputs: np.stack([draw_one(*each) for each in zip(*inputs)])


def write_onnx(exported: Exported, path: Path) -> None:
    """Writes ONNX with Keras's exporter."""
    model = with_batch_of(None, exported)
    zeros = [tf.zeros([1, *given.shape[1:]], given.dtype) for given in model.inputs]
    model(zeros[0] if len(zeros) == 1 else zeros)  # Keras exports the signature of a call
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # from NumPy, in tf2onnx
        model.export(str(path), format="onnx", verbose=False)


def load_onnx(path: Path) -> Draw:
    """Loads ONNX with ONNX Runtime, on the CPU."""
    onnxruntime = importlib.import_module("onnxruntime")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda *inputs: to_uint8(session.run(None, dict(zip(INPUTS, inputs)))[0])


def write_run(exported: Exported, path: Path) -> None:
    """Writes a run directory with only the two models, their kernels in float16."""
    run, source = RunDirectory(path), exported.run
    path.mkdir()
    shutil.copy(source.config_file, run.config_file)
    save_weights(run.generator_file, exported.generator, exported.step)
    if source.discriminator_file.exists() or not source.generator_file.exists():
        discriminator, _, _ = load_discriminator(source, str(exported.step))
        save_weights(run.discriminator_file, discriminator, exported.step)


def load_run(path: Path) -> Draw:
    """Loads a run's generator in float32, regardless of the run's precision."""
    generator, _, _ = load_generator(RunDirectory(path))
    one_hot = np.eye(len(RunDirectory(path).read_classes()), dtype=np.float32)
    sampler = compile_generator(plain(generator))
    return lambda noise, *labels: sampler(
        np.concatenate([noise, *(one_hot[each] for each in labels)], axis=1)
    )


class ExportFormat(NamedTuple):
    """An export format.

    Attributes:
        write: writes the format to a path.
        load: loads it from a path.
        tolerance: maximum difference of its images from the generator's, in units of [0, 255].
        extra: the package's extra that installs `libraries`.
        libraries: required libraries.
    """

    write: Callable[[Exported, Path], None]
    load: Callable[[Path], Draw]
    tolerance: int
    extra: str = ""
    libraries: tuple[str, ...] = ()

    @property
    def missing(self) -> list[str]:
        """The required libraries that are not installed."""
        return [name for name in self.libraries if importlib.util.find_spec(name) is None]


# Keyed by the name of the file or folder.
FORMATS = {
    "generator.keras": ExportFormat(write_keras, load_keras, 1),
    "saved_model": ExportFormat(write_saved_model, load_saved_model, 1),
    "generator.tflite": ExportFormat(write_tflite, load_tflite, 1),
    "generator_float16.tflite": ExportFormat(write_tflite_float16, load_tflite, 4),
    "generator.onnx": ExportFormat(
        write_onnx, load_onnx, 1, "onnx", ("onnx", "tf2onnx", "onnxruntime")
    ),
    "run": ExportFormat(write_run, load_run, 4),
}
