"""The formats that a generator is exported in: how each is written, and loaded again."""

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


# From noise, float32 [N, noise_dim], and of a conditional run the numbers of the labels, int32 [N],
# to images, uint8 [N, H, W, C] in [0, 255].
Draw = Callable[..., np.ndarray]


class Exported(NamedTuple):
    """What is exported.

    Attributes:
        run: the run that it is from.
        step: of its checkpoint.
        generator: made of Keras's own layers, in float32.
        model: the same with an input `label` beside `noise`, in a conditional run.
    """

    run: RunDirectory
    step: int
    generator: keras.Sequential
    model: keras.Model


def write_keras(exported: Exported, path: Path) -> None:
    """Keras's own format."""
    exported.model.save(path)


def load_keras(path: Path) -> Draw:
    """Loads it without running any code from it."""
    model = keras.saving.load_model(path, safe_mode=True)
    draw = tf.function(lambda *inputs: model(inputs[0] if len(inputs) == 1 else inputs))
    return lambda *inputs: to_uint8(draw(*map(tf.constant, inputs)))


def write_saved_model(exported: Exported, path: Path) -> None:
    """TensorFlow's format, with the signature `serving_default`: `noise` to uint8 `images`.

    That of a conditional run takes `label`, too.
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
    """Its default signature."""
    module = tf.saved_model.load(str(path))
    serve = module.signatures["serving_default"]
    return lambda *inputs: serve(**dict(zip(INPUTS, map(tf.constant, inputs))))["images"].numpy()


def write_tflite(exported: Exported, path: Path) -> None:
    """TFLite with float32 weights."""
    path.write_bytes(convert(tf.lite.TFLiteConverter.from_keras_model(with_batch_of(1, exported))))


def write_tflite_float16(exported: Exported, path: Path) -> None:
    """TFLite with float16 weights."""
    converter = tf.lite.TFLiteConverter.from_keras_model(with_batch_of(1, exported))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    path.write_bytes(convert(converter))


def with_batch_of(size: int | None, exported: Exported) -> keras.Model:
    """The model of batches of a size, None for any; TFLite upsamples a batch of one alone."""
    inputs = [
        keras.Input(batch_shape=(size, *given.shape[1:]), dtype=given.dtype, name=name)
        for name, given in zip(INPUTS, exported.model.inputs)
    ]
    return keras.Model(inputs, exported.model(inputs[0] if len(inputs) == 1 else inputs))


def convert(converter: tf.lite.TFLiteConverter) -> bytes:
    """The model in TFLite's format, without what Keras prints on the way."""
    with contextlib.redirect_stdout(io.StringIO()):
        return converter.convert()


def make_interpreter(path: Path) -> Any:
    """TensorFlow's interpreter of TFLite; LiteRT's, where TensorFlow no longer has one.

    Raises:
        UserError: there is neither.
    """
    if hasattr(tf.lite, "Interpreter"):
        interpreter, resolvers = tf.lite.Interpreter, tf.lite.experimental.OpResolverType
    else:
        try:
            litert = importlib.import_module("ai_edge_litert.interpreter")
        except ImportError:
            raise UserError(
                "TFLite's files are compared with the run by LiteRT, as TensorFlow "
                f"{tf.__version__} can't: pip install ai-edge-litert"
            ) from None
        interpreter, resolvers = litert.Interpreter, litert.OpResolverType
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(?s).*use the LiteRT interpreter")
        return interpreter(
            str(path), experimental_op_resolver_type=resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        )


def load_tflite(path: Path) -> Draw:
    """By an interpreter, which draws image by image."""
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
    """ONNX, by Keras's own exporter."""
    model = with_batch_of(None, exported)
    some = [tf.zeros([1, *given.shape[1:]], given.dtype) for given in model.inputs]
    model(some[0] if len(some) == 1 else some)  # Keras exports what was called
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of NumPy, in tf2onnx
        model.export(str(path), format="onnx", verbose=False)


def load_onnx(path: Path) -> Draw:
    """By ONNX Runtime, on the CPU."""
    onnxruntime = importlib.import_module("onnxruntime")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda *inputs: to_uint8(session.run(None, dict(zip(INPUTS, inputs)))[0])


def write_run(exported: Exported, path: Path) -> None:
    """A run directory with both models alone, their kernels in float16."""
    run, source = RunDirectory(path), exported.run
    path.mkdir()
    shutil.copy(source.config_file, run.config_file)
    save_weights(run.generator_file, exported.generator, exported.step)
    if source.discriminator_file.exists() or not source.generator_file.exists():
        discriminator, _, _ = load_discriminator(source, str(exported.step))
        save_weights(run.discriminator_file, discriminator, exported.step)


def load_run(path: Path) -> Draw:
    """In float32, whatever the run computes in."""
    generator, _, _ = load_generator(RunDirectory(path))
    one_hot = np.eye(len(RunDirectory(path).read_classes()), dtype=np.float32)
    sampler = compile_generator(plain(generator))
    return lambda noise, *labels: sampler(
        np.concatenate([noise, *(one_hot[each] for each in labels)], axis=1)
    )


class ExportFormat(NamedTuple):
    """A format.

    Attributes:
        write: writes it to a path.
        load: loads it from there.
        tolerance: how far its images may be from the generator's, in units of [0, 255].
        extra: of this package, which brings what it needs.
        libraries: that it needs.
    """

    write: Callable[[Exported, Path], None]
    load: Callable[[Path], Draw]
    tolerance: int
    extra: str = ""
    libraries: tuple[str, ...] = ()

    @property
    def missing(self) -> list[str]:
        """The libraries that it needs and that are not installed."""
        return [name for name in self.libraries if importlib.util.find_spec(name) is None]


# By the name of the file or folder.
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
