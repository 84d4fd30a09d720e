"""Strided convolutions, their gradients and their transposes, as forward convolutions only.

Many processors have a fast kernel for convolutions of stride 1 and a slow one for the gradients of
strided ones. A transposed convolution of stride s equals s² interleaved convolutions of stride 1,
one for each sub-pixel position (phase) of the result (Shi et al., 2016, arXiv:1609.07009).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

Gradient = Callable[[tf.Tensor], tuple[tf.Tensor, ...]]


def convolve(images: tf.Tensor, kernel: tf.Tensor, stride: int) -> tf.Tensor:
    """A convolution with padding "same".

    Args:
        images: [batch, stride · height, stride · width, channels].
        kernel: [size, size, channels, filters], its size at least the stride.
        stride: in pixels.

    Returns:
        [batch, height, width, filters].
    """

    @tf.custom_gradient
    def operation(images: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
        def backwards(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            kernel_grad = kernel_gradient(images, upstream, kernel.shape[:2], stride)
            return transpose(upstream, kernel, stride), kernel_grad

        return tf.nn.conv2d(images, kernel, stride, "SAME"), backwards

    return operation(images, kernel)


def transpose(maps: tf.Tensor, kernel: tf.Tensor, stride: int) -> tf.Tensor:
    """The transposed convolution with padding "same", as a sub-pixel convolution.

    With stride 2, the even and odd rows and columns of the result are four convolutions of stride
    1, each with every other row and column of the kernel. The number of products is the same (Shi
    et al., 2016, arXiv:1609.07009).

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
            kernel_grad = kernel_gradient(upstream, maps, kernel.shape[:2], stride)
            return convolve(upstream, kernel, stride), kernel_grad

        return subpixel_transpose(maps, kernel, stride), backwards

    return operation(maps, kernel)


def subpixel_transpose(maps: tf.Tensor, kernel: tf.Tensor, stride: int) -> tf.Tensor:
    flipped = tf.transpose(tf.reverse(kernel, [0, 1]), [0, 1, 3, 2])
    rows, columns = (phases(size, stride) for size in kernel.shape[:2])
    height, width, _ = maps.shape[1:]
    channels = kernel.shape[2]
    results = []
    for row, row_padding in rows:
        padded = [[[0, 0], row_padding, column_padding, [0, 0]] for _, column_padding in columns]
        across = [
            tf.nn.conv2d(maps, flipped[row, column], 1, padding)
            for (column, _), padding in zip(columns, padded)
        ]
        together = tf.concat(across, axis=3)
        results.append(tf.reshape(together, [-1, height, 1, stride * width * channels]))
    return tf.reshape(tf.concat(results, axis=2), [-1, stride * height, stride * width, channels])


def phases(size: int, stride: int) -> list[tuple[slice, list[int]]]:
    """The kernel taps and the padding for each phase of a transposed convolution, along one axis.

    The result at stride · m + phase is the sum of maps[i] · kernel[t] over all i and t with
    stride · i + t − before = stride · m + phase, where `before` is the padding before the image.

    Returns:
        For each phase, the taps of the flipped kernel, and the padding of the maps.
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
    """The gradient of a convolution with respect to its kernel: a convolution over the batch.

    Args:
        images: [batch, stride · height, stride · width, channels].
        upstream: the gradient with respect to the result, [batch, height, width, filters].
        kernel_size: the kernel's height and width.
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
