"""Samples as files: one grid, one array, or a folder of PNGs."""

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
    """A function that writes images to a path, given their batches and their shape [N, H, W, C].

    The suffix of the path names the format: `.png` is one grid, `.npz` is one uint8 array `images`,
    and a path without a suffix is a folder with a PNG for each image. If writing fails, nothing is
    left at the path.

    Args:
        output: the path.
        columns: images in a row of a grid; by default, the grid is a square.

    Raises:
        UserError: the path has another suffix, or can't be used.
    """
    writers: dict[str, Callable[..., None]] = {
        ".png": functools.partial(_write_grid, columns=columns),
        ".npz": _write_npz,
        "": _write_folder,
    }
    if output.suffix not in writers:
        raise UserError(
            f"`output` {output} ends in {output.suffix}: use a .png, a .npz, or a folder"
        )
    if output.suffix:
        check_file(output, "`output`")
    if output.is_dir() and not is_free(output):
        raise UserError(f"`output` {output} has files in it already: use a new or empty folder")
    if output.is_file() and not output.suffix:
        raise UserError(f"`output` {output} is a file without a suffix: use a .png or .npz")
    write = writers[output.suffix]
    return functools.partial(write, output)


def _write_grid(
    path: Path, batches: Iterator[np.ndarray], shape: Shape, columns: int | None
) -> None:
    check_picture(shape, "a smaller `num_images`, or a .npz or a folder as `output`")
    save_png(path, image_grid(np.concatenate(list(batches)), columns=columns))


def _write_npz(path: Path, batches: Iterator[np.ndarray], shape: Shape) -> None:
    """Writes what `np.savez` would, without holding all images in memory."""
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
            # Not flushed: that can take longer than sampling, and the seed reproduces them.
            iio.imwrite(part / f"{index:06d}.png", as_picture(image))
