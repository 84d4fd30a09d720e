"""Arrays in a run's .npz files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dcgan_tf.settings.errors import UserError, first_line


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[np.lib.npyio.NpzFile]:
    """Opens a .npz, to read its arrays within the context.

    Raises:
        UserError: it is damaged, or an array that the caller reads is missing.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            yield archive
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # the .zip and .npy parsers raise many kinds
        raise UserError(f"{path} is damaged, or not from this run: {first_line(error)}") from None
