"""Images with an alpha channel: straight in uint8, as in files; premultiplied in models.

A straight color is independent of its alpha: a transparent pixel's color is arbitrary. A
premultiplied color is multiplied by its alpha (Porter and Duff, 1984): a transparent pixel has only
one value, and the mean of pixels, as in resizing and at soft edges, is that of the visible colors.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dcgan_tf.datasets.disk_images import Images

RGBA = 4  # channels of images with alpha; others are returned unchanged
OF_COLORS = np.array([1, 1, 1, 0], np.float32)
OF_ALPHA = np.array([0, 0, 0, 1], np.float32)
VISIBLE = 0.5  # of 255: less alpha rounds to 0 in 8 bits

Pixels = Any  # a NumPy array or a tensor, float32 [..., C] in [0, 255]


def premultiplied(pixels: Pixels) -> Pixels:
    """Converts straight pixels: multiplies their colors by their alpha."""
    if pixels.shape[-1] != RGBA:
        return pixels
    return pixels * (OF_COLORS * (pixels[..., 3:] / 255.0) + OF_ALPHA)


def straight(pixels: Pixels) -> Pixels:
    """Converts premultiplied pixels: divides their colors by their alpha.

    Colors above their alpha, which a generator may produce, are clipped to it. Transparent pixels
    become black.
    """
    if pixels.shape[-1] != RGBA:
        return pixels
    import tensorflow as tf  # slow to import, and not needed for --help

    alpha = tf.clip_by_value(pixels[..., 3:], 0.0, 255.0)
    colors = tf.clip_by_value(pixels[..., :3], 0.0, alpha)
    over = tf.where(alpha < VISIBLE, 0.0, 255.0 / tf.maximum(alpha, VISIBLE))
    return tf.concat([colors * over, alpha], axis=-1)


def are_opaque(images: Images) -> bool:
    """Whether images, uint8 [N, H, W, C], have an alpha channel of 255 throughout."""
    starts = range(0, len(images), 1000)
    return images.shape[-1] == RGBA and all(
        (images[start : start + 1000][..., 3] == 255).all() for start in starts
    )


def composite(images: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Images composited on a background.

    Args:
        images: straight uint8 [N, H, W, C].
        background: colors in [0, 255], broadcastable to [H, W, 3].

    Returns:
        uint8 [N, H, W, 3]; the same images if they have no alpha.
    """
    if images.shape[-1] != RGBA:
        return images
    alpha = images[..., 3:].astype(np.float32) / 255.0
    return np.rint(images[..., :3] * alpha + background * (1.0 - alpha)).astype(np.uint8)
