"""Writes the images selected by the flags as sharded TFRecords, for `--dataset tfrecords`."""

import dataclasses
from pathlib import Path

from dcgan_tf.commands.flags import parse
from dcgan_tf.commands.program import quiet_tensorflow
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import DamagedImages, UserError
from dcgan_tf.settings.fields import Settings, between, setting


@dataclasses.dataclass(frozen=True)
class TFRecordFlags(Settings):
    """Where to write the TFRecords."""

    output: str | None = setting(
        None, "TFRecords", "folder to write to (required)", old_name="to_tfrecords", is_path=True
    )
    shards: int = setting(16, "TFRecords", "number of files per split", between(1, 500))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.output is None:
            raise UserError("--output is required: the folder to write to")


def main() -> None:
    """Writes the training images, and the held-out images if there are any."""
    config, flags = parse(__doc__, Config, TFRecordFlags)
    if config.conditional or config.flip:
        raise UserError(
            "TFRecords hold images without labels or flips: leave out --conditional, and pass "
            "--flip to train.py"
        )
    with quiet_tensorflow():
        from dcgan_tf.datasets.loading import load_split
        from dcgan_tf.datasets.tfrecords import write_tfrecords

    for split in ("train", "test"):
        try:
            images = load_split(config, split)
        except UserError as error:
            if split == "train" or isinstance(error, DamagedImages):
                raise
            print(f"test   none: {error}")
            continue
        write_tfrecords(images, Path(flags.output), split, flags.shards)
        shape = "×".join(map(str, images.shape[1:]))
        print(f"{split:<6} {len(images):,} images of {shape} in {flags.shards} files", flush=True)
