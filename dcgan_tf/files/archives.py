"""Arrays in .npz files of a run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dcgan_tf.settings.errors import UserError, first_line


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[np.lib.npyio.NpzFile]:
    """A .npz, whose arrays are read within.

    Raises:
        UserError: it is damaged, or lacks an array that is asked for.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            yield archive
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # what the parsers of .zip and .npy raise is no small set
        raise UserError(f"{path} is damaged, or not of this run: {first_line(error)}") from None
