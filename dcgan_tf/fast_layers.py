"""Keras's layers, computing the same by faster operations.

Each takes the arguments of the Keras layer whose name it has, holds the same weights under the
same names, and gives the same values up to rounding; `plain` makes that Keras layer of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf
from keras import layers

LEAST_FILTERS = 32

Gradient = Callable[[tf.Tensor], tuple[tf.Tensor, ...]]


@keras.saving.register_keras_serializable("dcgan_tf")
class Conv2D(layers.Conv2D):
    """A convolution whose gradient by its inputs is made of forward convolutions.

    Many processors have a fast kernel for convolutions of stride 1 and a slow one for the
    gradients of strided ones.
    """

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        stride = self.strides[0]
        if in_phases(self, inputs.shape[1:3], inputs.shape[3]):
            return convolve(inputs, tf.convert_to_tensor(kernel), stride)
        return super().convolution_op(inputs, kernel)


@keras.saving.register_keras_serializable("dcgan_tf")
class Conv2DTranspose(layers.Conv2DTranspose):
    """A transposed convolution made of forward convolutions, one for each of its phases."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        stride = self.strides[0]
        size = [stride * side for side in inputs.shape[1:3]]
        if self.use_bias or not in_phases(self, size, self.filters):
            return super().call(inputs)
        return self.activation(transpose(inputs, tf.convert_to_tensor(self.kernel), stride))


def in_phases(
    layer: layers.Conv2D | layers.Conv2DTranspose, size: tuple[int, int], filters: int
) -> bool:
    """Whether the larger side of a convolution, so wide and deep, is worth making in phases."""
    stride, other_stride = layer.strides
    return (
        filters >= LEAST_FILTERS
        and layer.padding == "same"
        and stride == other_stride <= min(layer.kernel_size)
        and not any(side % stride for side in size)
        and layer.dilation_rate in (1, (1, 1))
        and layer.data_format == "channels_last"
    )


def convolve(images: tf.Tensor, kernel: tf.Tensor, stride: int) -> tf.Tensor:
    """A convolution with padding "same".

    Args:
        images: [batch, stride · height, stride · width, channels].
        kernel: [size, size, channels, filters], its size at least the stride.
        stride: pixels.

    Returns:
        [batch, height, width, filters].
    """

    @tf.custom_gradient
    def operation(images: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
        def backwards(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            by_kernel = kernel_gradient(images, upstream, kernel.shape[:2], stride)
            return transpose(upstream, kernel, stride), by_kernel

        return tf.nn.conv2d(images, kernel, stride, "SAME"), backwards

    return operation(images, kernel)


def transpose(maps: tf.Tensor, kernel: tf.Tensor, stride: int) -> tf.Tensor:
    """The transposed convolution with padding "same", in phases.

    With stride 2, the even and the odd rows and columns of the result are four convolutions of
    stride 1, each with every other row and column of the kernel: as many products as the
    definition has (Shi et al., 2016, arXiv:1609.07009).

    Args:
        maps: [batch, height, width, filters].
        kernel: [size, size, channels, filters], its size at least the stride.
        stride: pixels.

    Returns:
        [batch, stride · height, stride · width, channels].
    """

    @tf.custom_gradient
    def operation(maps: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
        def backwards(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            by_kernel = kernel_gradient(upstream, maps, kernel.shape[:2], stride)
            return convolve(upstream, kernel, stride), by_kernel

        return transpose_in_phases(maps, kernel, stride), backwards

    return operation(maps, kernel)


def transpose_in_phases(maps: tf.Tensor, kernel: tf.Tensor, stride: int) -> tf.Tensor:
    turned = tf.transpose(tf.reverse(kernel, [0, 1]), [0, 1, 3, 2])
    rows, columns = (phases(size, stride) for size in kernel.shape[:2])
    height, width, _ = maps.shape[1:]
    channels = kernel.shape[2]
    made = []
    for row, row_padding in rows:
        padded = [[[0, 0], row_padding, column_padding, [0, 0]] for _, column_padding in columns]
        across = [
            tf.nn.conv2d(maps, turned[row, column], 1, padding)
            for (column, _), padding in zip(columns, padded)
        ]
        together = tf.concat(across, axis=3)
        made.append(tf.reshape(together, [-1, height, 1, stride * width * channels]))
    return tf.reshape(tf.concat(made, axis=2), [-1, stride * height, stride * width, channels])


def phases(size: int, stride: int) -> list[tuple[slice, list[int]]]:
    """How each phase of a transposed convolution is made, along one axis.

    The result at stride · m + phase is the sum of maps[i] · kernel[t] over all i and t with
    stride · i + t − before = stride · m + phase, where `before` is the padding before the image.

    Returns:
        For each phase, the taps of the turned kernel that it needs, and the padding of the maps.
    """
    before = (size - stride) // 2
    found = []
    for phase in range(stride):
        ahead, first = divmod(phase + before, stride)
        count = len(range(first, size, stride))
        last = size - 1 - first
        found.append((slice(last % stride, last + 1, stride), [count - 1 - ahead, ahead]))
    return found


def kernel_gradient(
    images: tf.Tensor, upstream: tf.Tensor, kernel_size: Sequence[int], stride: int
) -> tf.Tensor:
    """The gradient of a convolution by its kernel, as a convolution that sums over the batch.

    Args:
        images: [batch, stride · height, stride · width, channels].
        upstream: the gradient by the result, [batch, height, width, filters].
        kernel_size: of both axes.
        stride: pixels.

    Returns:
        [*kernel_size, channels, filters].
    """

    @tf.custom_gradient
    def operation(images: tf.Tensor, upstream: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
        def backwards(kernel: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return transpose(upstream, kernel, stride), convolve(images, kernel, stride)

        padding = [[(size - stride) // 2, (size - stride + 1) // 2] for size in kernel_size]
        gradient = tf.nn.conv2d(
            tf.transpose(images, [3, 1, 2, 0]),
            tf.transpose(upstream, [1, 2, 0, 3]),
            1,
            [[0, 0], *padding, [0, 0]],
            dilations=stride,
        )
        return tf.transpose(gradient, [1, 2, 0, 3]), backwards

    return operation(images, upstream)


@keras.saving.register_keras_serializable("dcgan_tf")
class BatchNormalization(layers.BatchNormalization):
    """Batch norm by TensorFlow's fused kernel while it trains on one device."""

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        if not (training and self.trainable) or (self.synchronized and replicas > 1):
            return super().call(inputs, training=training)
        shape = tf.shape(inputs)
        maps = inputs if len(inputs.shape) == 4 else tf.reshape(inputs, [shape[0], 1, 1, -1])
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=maps,
            scale=tf.convert_to_tensor(self.gamma),
            offset=tf.convert_to_tensor(self.beta),
            mean=[],
            variance=[],
            epsilon=self.epsilon,
        )
        # The kernel gives the unbiased estimate, and Keras averages the biased one.
        count = tf.cast(tf.size(maps) / shape[-1], variance.dtype)
        variance *= (count - 1) / count
        self.move(self.moving_mean, mean)
        self.move(self.moving_variance, variance)
        return tf.reshape(outputs, shape)

    def move(self, average: keras.Variable, value: tf.Tensor) -> None:
        """Moves an average a little towards a batch's value."""
        average.assign(average * self.momentum + value * (1.0 - self.momentum))


@keras.saving.register_keras_serializable("dcgan_tf")
class Dropout(layers.Dropout):
    """Dropout that decides by 16 random bits for each value: its rate is exact to 1/65,536.

    Each replica reads its own part of one stream of bits.
    """

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not training or self.rate == 0:
            return inputs
        *rest, channels = inputs.shape
        rest = [tf.shape(inputs)[0], *rest[1:]]
        half = (channels + 1) // 2
        seed = tf.cast(self.seed_generator.next(), tf.int32)
        pairs = random_bits([*rest, half], seed)
        bits = tf.reshape(tf.bitcast(pairs, tf.uint16), [*rest, 2 * half])
        bits = bits[..., :channels] if channels % 2 else bits
        kept = bits >= round(self.rate * 2**16)
        return tf.where(kept, inputs / (1.0 - self.rate), 0.0)


def random_bits(shape: list[int | tf.Tensor], seed: tf.Tensor) -> tf.Tensor:
    """This replica's part of the stream of random bits of a seed, int32 of that shape.

    The generator is Philox (Salmon et al., 2011): a counter, each of whose values gives 128 bits.
    """
    key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(seed=seed)
    replica = tf.distribute.get_replica_context().replica_id_in_sync_group
    blocks = replica * ((tf.reduce_prod(shape) + 3) // 4)
    return tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=shape,
        key=key,
        counter=counter + tf.cast(tf.stack([blocks, 0]), tf.uint64),
        alg=tf.random.Algorithm.PHILOX.value,
        dtype=tf.int32,
    )


def plain(model: keras.Sequential) -> keras.Sequential:
    """A copy of a model, made of Keras's own layers, in float32."""

    def plain_layer(layer: layers.Layer) -> layers.Layer:
        kind = next(kind for kind in type(layer).__mro__ if kind.__module__.startswith("keras."))
        return kind.from_config(layer.get_config() | {"dtype": "float32"})

    copy = keras.models.clone_model(model, clone_function=plain_layer)
    copy.set_weights(model.get_weights())
    return copy
