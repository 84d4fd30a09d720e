"""Samples as files: one grid, one array, or a folder with a PNG for each."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import imageio.v3 as iio
import numpy as np

from dcgan_tf.cli.atomic_files import atomic_write
from dcgan_tf.cli.errors import UserError
from dcgan_tf.reporting.images import image_grid, save_png

PART = ".part"  # of a folder: the images until all are written


def writer_for(output: Path, columns: int | None = None) -> Callable[[Iterator[np.ndarray]], None]:
    """The function that writes batches of images to a path, by the path's suffix.

    `.png` is one grid, `.npz` one array `images`, uint8 [N, H, W, C], and a path without a suffix
    a folder with a PNG for each image. Nothing is left at the path unless all is written.

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
            f"--output {output} ends in {output.suffix}: give a .png, a .npz, or a folder"
        )
    if output.suffix and not output.parent.is_dir():
        raise UserError(f"--output {output}: there is no folder {output.parent}")
    if output.is_dir() and (output.suffix or any(path.name != PART for path in output.iterdir())):
        raise UserError(f"--output {output} is a folder in use: give a new or an empty one")
    if output.is_file() and not output.suffix:
        raise UserError(f"--output {output} is a file without a suffix: give a .png or .npz")
    write = writers[output.suffix]
    return lambda batches: write(output, batches)


def _write_grid(path: Path, batches: Iterator[np.ndarray], columns: int | None) -> None:
    save_png(path, image_grid(np.concatenate(list(batches)), columns=columns))


def _write_npz(path: Path, batches: Iterator[np.ndarray]) -> None:
    with atomic_write(path) as file:
        np.savez(file, images=np.concatenate(list(batches)))


def _write_folder(folder: Path, batches: Iterator[np.ndarray]) -> None:
    part = folder / PART
    made = not folder.exists()
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        images = (image for batch in batches for image in batch)
        for index, image in enumerate(images):
            picture = image_grid(image[np.newaxis], border=0, zoom=1)
            # Not flushed: that may take longer than to draw them, as the seed does again.
            iio.imwrite(part / f"{index:06d}.png", picture)
        for path in part.iterdir():
            path.replace(folder / path.name)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if made and not any(folder.iterdir()):
            folder.rmdir()
