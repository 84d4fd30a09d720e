"""Keras's layers, computing the same by faster operations.

Each takes the arguments of the Keras layer whose name it has, holds the same weights under the
same names, and gives the same values up to rounding; `plain` makes that Keras layer of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from dcgan_tf.fast.subpixel import convolve, transpose

LEAST_FILTERS = 64
LARGEST_SIDE = 16
IN_BLOCK = 4  # int32 numbers of the random generator


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
    """Whether a convolution, so wide and deep on its larger side, is worth making sub-pixel.

    On small and deep maps, it can be faster than TensorFlow's own kernel; on large ones, slower.
    """
    stride, other_stride = layer.strides
    return (
        filters >= LEAST_FILTERS
        and max(size) <= LARGEST_SIDE
        and layer.padding == "same"
        and stride == other_stride <= min(layer.kernel_size)
        and not any(side % stride for side in size)
        and layer.dilation_rate in (1, (1, 1))
        and layer.data_format == "channels_last"
    )


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

    Each replica reads its own part of one stream of bits: together, they have one device's masks.
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
    """This replica's part of the stream of random bits of a seed, int32 of that shape.

    Args:
        shape: all but the first side must be known.
        seed: int32 [2].

    The generator is Philox (Salmon et al., 2011): a counter, each of whose values gives 128 bits.
    """
    key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(seed=seed)
    context = tf.distribute.get_replica_context()
    start = context.replica_id_in_sync_group * tf.reduce_prod(shape)

    def draw(shape: list[int | tf.Tensor]) -> tf.Tensor:
        return tf.raw_ops.StatelessRandomUniformFullIntV2(
            shape=shape,
            key=key,
            counter=counter + tf.cast(tf.stack([start // IN_BLOCK, 0]), tf.uint64),
            alg=tf.random.Algorithm.PHILOX.value,
            dtype=tf.int32,
        )

    if context.num_replicas_in_sync == 1 or math.prod(shape[1:]) % IN_BLOCK == 0:
        return draw(shape)
    # A part may begin within one of the counter's blocks.
    some = draw([tf.reduce_prod(shape) + IN_BLOCK - 1])
    return tf.reshape(some[start % IN_BLOCK :][: tf.reduce_prod(shape)], shape)


def plain(model: keras.Model) -> keras.Model:
    """A copy of a model, made of Keras's own layers, in float32."""

    def plain_layer(layer: layers.Layer | keras.Operation) -> layers.Layer | keras.Operation:
        kind: Any = next(
            kind for kind in type(layer).__mro__ if kind.__module__.startswith("keras.")
        )
        policy = {"dtype": "float32"} if isinstance(layer, layers.Layer) else {}
        return kind.from_config(layer.get_config() | policy)

    copy = keras.models.clone_model(model, clone_function=plain_layer)
    copy.set_weights(model.get_weights())
    return copy
