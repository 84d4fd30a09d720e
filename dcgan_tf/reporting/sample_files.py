"""Samples as files: one grid, one array, or a folder with a PNG for each."""

from __future__ import annotations

import functools
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import imageio.v3 as iio
import numpy as np

from dcgan_tf.files.atomic_files import atomic_folder, atomic_write, check_file, is_free
from dcgan_tf.reporting.images import as_picture, check_picture, image_grid, save_png
from dcgan_tf.settings.errors import UserError

Shape = tuple[int, ...]


def writer_for(
    output: Path, columns: int | None = None
) -> Callable[[Iterator[np.ndarray], Shape], None]:
    """The function that writes batches of images, of a shape [N, H, W, C], to a path.

    The path's suffix says how: `.png` is one grid, `.npz` one array `images`, uint8, and a path
    without a suffix a folder with a PNG for each image. Nothing is left there unless all is
    written.

    Args:
        output: the path.
        columns: of a grid; by default, so that it is a square.

    Raises:
        UserError: the suffix is another, or the path can't be used.
    """
    writers: dict[str, Callable[..., None]] = {
        ".png": functools.partial(_write_grid, columns=columns),
        ".npz": _write_npz,
        "": _write_folder,
    }
    if output.suffix not in writers:
        raise UserError(
            f"`output` {output} ends in {output.suffix}: give a .png, a .npz, or a folder"
        )
    if output.suffix:
        check_file(output, "`output`")
    if output.is_dir() and not is_free(output):
        raise UserError(f"`output` {output} is a folder in use: give a new or an empty one")
    if output.is_file() and not output.suffix:
        raise UserError(f"`output` {output} is a file without a suffix: give a .png or .npz")
    write = writers[output.suffix]
    return functools.partial(write, output)


def _write_grid(
    path: Path, batches: Iterator[np.ndarray], shape: Shape, columns: int | None
) -> None:
    check_picture(shape, "a smaller `num_images`, or a .npz or a folder as `output`")
    save_png(path, image_grid(np.concatenate(list(batches)), columns=columns))


def _write_npz(path: Path, batches: Iterator[np.ndarray], shape: Shape) -> None:
    """As `np.savez`, without all images in memory."""
    with (
        atomic_write(path) as file,
        zipfile.ZipFile(file, "w") as archive,
        archive.open("images.npy", "w", force_zip64=True) as array,
    ):
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(array, header)
        for batch in batches:
            array.write(batch.tobytes())


def _write_folder(folder: Path, batches: Iterator[np.ndarray], shape: Shape) -> None:
    with atomic_folder(folder) as part:
        images = (image for batch in batches for image in batch)
        for index, image in enumerate(images):
            # Not flushed: that may take longer than to draw them, as the seed does again.
            iio.imwrite(part / f"{index:06d}.png", as_picture(image))
