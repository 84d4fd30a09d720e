"""The settings that a dataset is loaded with."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

from dcgan_tf.cli.settings import BELOW_ONE, FRACTION, Settings, between, one_of, setting

Split = Literal["train", "test"]
LARGEST_SIZE = 8192  # pixels a side
FITS = ("crop", "pad", "stretch")
OF_FOLDERS = ("fit", "background", "max_bad_images", "held_out", "cache_dir")


@dataclasses.dataclass(frozen=True)
class DataSettings(Settings):
    """Where images are, and what is done to them before training.

    Raises:
        UserError: a value is not one that the setting can have.
    """

    data_dir: str | None = setting(
        None,
        "Data",
        "your images: a folder or .zip for --dataset folder; for tfrecords the folder that "
        "dcgan tfrecords wrote; for the others one with your own copy, as IDX files (plain or "
        ".gz), a Keras .npz, or CIFAR-10's .bin files",
        may_change=True,
    )
    conditional: bool = setting(
        False,
        "Data",
        "learn the labels too, so that images of a class can be asked for; those of a folder's "
        "images are the names of the folders in it",
    )
    image_size: int | None = setting(
        None,
        "Data",
        "resize to this many pixels a side: 4 to 7 times a power of two, with the default stride "
        "(default: the data's own; 64 for a folder)",
        between(1, LARGEST_SIZE),
    )
    fit: str = setting(
        "crop",
        "Data",
        "what makes a folder's images square: crop to the middle, pad with the background, or "
        "stretch",
        one_of(FITS),
    )
    background: str = setting(
        "white",
        "Data",
        "colour behind transparent pixels, and around padded images, a name or #rrggbb",
    )
    flip: bool = setting(False, "Data", "mirror images left to right at random")
    max_bad_images: float = setting(
        0.01, "Data", "fraction of damaged files that may be left out", FRACTION, may_change=True
    )
    held_out: float = setting(
        0.1,
        "Data",
        "fraction of a folder's images that are kept from training, to evaluate with",
        BELOW_ONE,
    )
    cache_dir: str | None = setting(
        None, "Data", "where decoded images are kept that don't fit in memory", may_change=True
    )


def is_shape(shape: Sequence[int]) -> bool:
    """Whether images can have this shape, [H, W, C]: they are square, and grey or coloured."""
    return len(shape) == 3 and 1 <= shape[0] == shape[1] <= LARGEST_SIZE and shape[2] in (1, 3)
