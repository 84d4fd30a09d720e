"""A picture file's metadata: the color profile is applied, the rest can be dropped."""

from __future__ import annotations

import functools
import io
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageCms

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"eXIf")
MAX_PROFILE_BYTES = 16 << 20
MAX_DIFFERENCE = 2  # of 255: a profile that changes colors by no more counts as sRGB

SRGB = ImageCms.createProfile("sRGB")


def png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The kind of each chunk of a PNG, and the entire chunk."""
    at = len(PNG_SIGNATURE)
    while at + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        yield kind, content[at : at + 12 + length]
        at += 12 + length


def without_metadata(content: bytes) -> tuple[BinaryIO, bytes | None]:
    """A PNG with only the chunks that its picture needs, and its color profile.

    Raises:
        ValueError: it is not a PNG.
    """
    if not content.startswith(PNG_SIGNATURE):
        raise ValueError("not a PNG")
    kept, profile = [PNG_SIGNATURE], None
    for kind, chunk in png_chunks(content):
        if kind in PNG_PIXELS:
            kept.append(chunk)
        elif kind == b"iCCP":
            profile = unpack_profile(chunk[8:-4])
    return io.BytesIO(b"".join(kept)), profile


def unpack_profile(data: bytes) -> bytes | None:
    """The profile in the data of an iCCP chunk; None if it is damaged or too large."""
    _, _, packed = data.partition(b"\0")  # the name, then the compression method, then the profile
    unpacking = zlib.decompressobj()
    try:
        profile = unpacking.decompress(packed[1:], MAX_PROFILE_BYTES)
    except zlib.error:
        return None
    return None if unpacking.unconsumed_tail else profile


def significant_bits(head: bytes) -> int | None:
    """The number of significant bits in a gray PNG's sBIT chunk; None if it has no such chunk.

    Args:
        head: the first bytes of the file; the chunk comes before the pixels.
    """
    for kind, chunk in png_chunks(head):
        if kind == b"sBIT" and len(chunk) > 12:
            return chunk[8]
    return None


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """The image in sRGB; unchanged if its profile is missing or damaged.

    Args:
        image: an image of mode L, LA, P, RGB, RGBA or CMYK; other modes are returned unchanged.
        profile: the ICC profile in its file.
    """
    if not profile:
        return image
    if image.mode == "P" or "transparency" in image.info:
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    with_alpha = image.mode in ("LA", "RGBA")
    plain = image.convert(image.mode[:-1]) if with_alpha else image
    transform = transform_of(profile, plain.mode)
    if transform is None:
        return image
    shown = transform.apply(plain)
    if with_alpha:
        shown.putalpha(image.getchannel("A"))
    return shown


@functools.lru_cache(maxsize=64)
def transform_of(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The transform from a profile to sRGB; None if it changes little or the profile is damaged."""
    if mode not in ("L", "RGB", "CMYK"):
        return None
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(opened, SRGB, mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    shades = np.linspace(0, 255, 9).astype(np.uint8)
    ramps = np.stack(np.meshgrid(*[shades] * 3), axis=-1).reshape(27, 27, 3)
    probe = Image.fromarray(ramps).convert(mode)
    change = np.asarray(transform.apply(probe), int) - np.asarray(probe.convert("RGB"), int)
    return transform if np.abs(change).max() > MAX_DIFFERENCE else None
