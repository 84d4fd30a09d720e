"""Draws images from a run that train.py made.

Image i of a seed is the same whatever the batch size and however many are asked for.
"""

import dataclasses
from pathlib import Path

from dcgan_tf.commandline import parse, quiet_tensorflow, run
from dcgan_tf.errors import UserError
from dcgan_tf.settings import AT_LEAST_ONE, SEED, Settings, setting


@dataclasses.dataclass(frozen=True)
class SampleFlags(Settings):
    """What to draw, and where to put it."""

    run_dir: str | None = setting(None, "Run", "folder of the run (required)")
    checkpoint: str | None = setting(
        None, "Run", "step of the checkpoint, or best (default: the newest)"
    )
    num_images: int = setting(16, "Images", "how many", AT_LEAST_ONE)
    seed: int = setting(0, "Images", "which ones", SEED)
    batch_size: int = setting(256, "Images", "how many at once", AT_LEAST_ONE)
    output: str = setting(
        "samples.png",
        "Images",
        "a .png (one grid), a .npz (array `images`, uint8 [N, H, W, C]), or a folder (a PNG each)",
    )


def main() -> None:
    """Reads the flags, loads the generator, and writes what it draws."""
    (flags,) = parse(__doc__, SampleFlags)
    if flags.run_dir is None:
        raise UserError("--run_dir is required: the folder of a run that train.py made")
    output = Path(flags.output)
    with quiet_tensorflow():
        from dcgan_tf.run_directory import RunDirectory
        from dcgan_tf.sampling import load_generator, sample_images, writer_for

    write = writer_for(output)
    generator, config, step = load_generator(RunDirectory(Path(flags.run_dir)), flags.checkpoint)
    write(sample_images(generator, config, flags.seed, flags.num_images, flags.batch_size))
    print(f"{flags.num_images} images of seed {flags.seed}, from step {step}: {output}")


if __name__ == "__main__":
    run(main)
