"""Faster implementations of Keras layers.

Each has the name, the arguments, and the weights of a Keras layer, and computes the same values up
to rounding. `plain` converts it to that Keras layer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from dcgan_tf.fast.subpixel import convolve, transpose

MIN_FILTERS = 64
MAX_SIDE = 16
BLOCK_SIZE = 4  # int32 numbers for each value of the random generator's counter


@keras.saving.register_keras_serializable("dcgan_tf")
class Conv2D(layers.Conv2D):
    """A convolution whose gradient with respect to its inputs is a sub-pixel convolution.

    Many processors have a fast kernel for convolutions of stride 1 and a slow one for the
    gradients of strided ones.
    """

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        stride = self.strides[0]
        if is_subpixel(self, inputs.shape[1:3], inputs.shape[3]):
            return convolve(inputs, tf.convert_to_tensor(kernel), stride)
        return super().convolution_op(inputs, kernel)


@keras.saving.register_keras_serializable("dcgan_tf")
class Conv2DTranspose(layers.Conv2DTranspose):
    """A transposed convolution as a sub-pixel convolution."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        stride = self.strides[0]
        size = [stride * side for side in inputs.shape[1:3]]
        if self.use_bias or not is_subpixel(self, size, self.filters):
            return super().call(inputs)
        return self.activation(transpose(inputs, tf.convert_to_tensor(self.kernel), stride))


def is_subpixel(
    layer: layers.Conv2D | layers.Conv2DTranspose, size: Sequence[int], filters: int
) -> bool:
    """Whether to compute a convolution as a sub-pixel convolution.

    That can be faster than TensorFlow's kernel on small, deep maps, and is slower on large ones.

    Args:
        layer: the convolution or transposed convolution.
        size: height and width of its larger maps.
        filters: their channels.
    """
    stride, other_stride = layer.strides
    return (
        filters >= MIN_FILTERS
        and max(size) <= MAX_SIDE
        and layer.padding == "same"
        and stride == other_stride <= min(layer.kernel_size)
        and not any(side % stride for side in size)
        and layer.dilation_rate in (1, (1, 1))
        and layer.data_format == "channels_last"
    )


@keras.saving.register_keras_serializable("dcgan_tf")
class BatchNormalization(layers.BatchNormalization):
    """Batch norm that uses TensorFlow's fused kernel in training on one device."""

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
        # The kernel returns the unbiased variance, but Keras averages the biased one.
        count = tf.cast(tf.size(maps) / shape[-1], variance.dtype)
        variance *= (count - 1) / count
        self.update_average(self.moving_mean, mean)
        self.update_average(self.moving_variance, variance)
        return tf.reshape(outputs, shape)

    def update_average(self, average: keras.Variable, value: tf.Tensor) -> None:
        """Updates a moving average with a batch's value."""
        average.assign(average * self.momentum + value * (1.0 - self.momentum))


@keras.saving.register_keras_serializable("dcgan_tf")
class Dropout(layers.Dropout):
    """Dropout with 16 random bits for each value: its rate is exact to 1/65,536.

    Each replica reads its own part of one stream of bits. Together, their masks are those of one
    device.
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
        kept = bits >= min(round(self.rate * 2**16), 2**16 - 1)
        return tf.where(kept, inputs / (1.0 - self.rate), 0.0)


def random_bits(shape: list[int | tf.Tensor], seed: tf.Tensor) -> tf.Tensor:
    """This replica's part of a seed's stream of random bits, int32 of the shape.

    The generator is Philox (Salmon et al., 2011): each value of a counter yields 128 bits.

    Args:
        shape: all sides but the first must be static.
        seed: int32 [2].
    """
    key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(seed=seed)
    context = tf.distribute.get_replica_context()
    start = context.replica_id_in_sync_group * tf.reduce_prod(shape)

    def draw(shape: list[int | tf.Tensor]) -> tf.Tensor:
        return tf.raw_ops.StatelessRandomUniformFullIntV2(
            shape=shape,
            key=key,
            counter=counter + tf.cast(tf.stack([start // BLOCK_SIZE, 0]), tf.uint64),
            alg=tf.random.Algorithm.PHILOX.value,
            dtype=tf.int32,
        )

    if context.num_replicas_in_sync == 1 or math.prod(shape[1:]) % BLOCK_SIZE == 0:
        return draw(shape)
    # A part may start within a block.
    blocks = draw([tf.reduce_prod(shape) + BLOCK_SIZE - 1])
    return tf.reshape(blocks[start % BLOCK_SIZE :][: tf.reduce_prod(shape)], shape)


def plain(model: keras.Model) -> keras.Model:
    """A copy of a model with Keras's own layers, in float32."""

    def plain_layer(layer: layers.Layer | keras.Operation) -> layers.Layer | keras.Operation:
        kind: Any = next(
            kind for kind in type(layer).__mro__ if kind.__module__.startswith("keras.")
        )
        policy = {"dtype": "float32"} if isinstance(layer, layers.Layer) else {}
        return kind.from_config(layer.get_config() | policy)

    copy = keras.models.clone_model(model, clone_function=plain_layer)
    copy.set_weights(model.get_weights())
    return copy
