"""Writes the images that the flags name as sharded TFRecords, for `--dataset tfrecords`."""

import dataclasses
from pathlib import Path

from dcgan_tf.cli.errors import UserError
from dcgan_tf.cli.program import parse, quiet_tensorflow
from dcgan_tf.cli.settings import AT_LEAST_ONE, Settings, setting
from dcgan_tf.config import Config


@dataclasses.dataclass(frozen=True)
class TFRecordFlags(Settings):
    """Where the TFRecords go."""

    to_tfrecords: str | None = setting(None, "TFRecords", "folder to write to (required)")
    shards: int = setting(16, "TFRecords", "files to spread each part over", AT_LEAST_ONE)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.to_tfrecords is None:
            raise UserError("--to_tfrecords is required: the folder to write to")


def main() -> None:
    """Writes the training images, and the held-out ones where there are any."""
    config, flags = parse(__doc__, Config, TFRecordFlags)
    with quiet_tensorflow():
        from dcgan_tf.data import LOADERS, resize
        from dcgan_tf.datasets.tfrecords import write_tfrecords

    for part in ("train", "test"):
        try:
            images = resize(LOADERS[config.dataset](config, part), config.image_size)
        except UserError as error:
            if part == "train":
                raise
            print(f"test   none, as {error}")
            continue
        write_tfrecords(images, Path(flags.to_tfrecords), part, flags.shards)
        shape = "×".join(map(str, images.shape[1:]))
        print(f"{part:<6} {len(images):,} images of {shape} in {flags.shards} files", flush=True)
