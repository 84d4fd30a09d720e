"""Draws images from a run that train.py made.

Image i of a seed is the same whatever the batch size and however many are asked for. The flags of
the latent space name images by these numbers, counted from 0.
"""

import dataclasses
from pathlib import Path

from dcgan_tf.cli.errors import UserError
from dcgan_tf.cli.program import parse, quiet_tensorflow
from dcgan_tf.cli.settings import AT_LEAST_ONE, POSITIVE, SEED, OfCheckpoint, at_least, setting

MODES = {
    "interpolate": (".png", ".gif"),
    "walk": (".png", ".gif"),
    "arithmetic": (".png",),
    "nearest": (".png",),
    "project": (".png",),
    "activations": (".png",),
}


@dataclasses.dataclass(frozen=True)
class SampleFlags(OfCheckpoint):
    """What to draw, and where to put it."""

    num_images: int = setting(16, "Images", "how many", AT_LEAST_ONE)
    seed: int = setting(0, "Images", "which ones", SEED)
    batch_size: int = setting(256, "Images", "how many at once", AT_LEAST_ONE)
    truncate: float | None = setting(
        None, "Images", "keep the noise within ± this: more usual images, less varied", POSITIVE
    )
    output: str = setting(
        "samples.png",
        "Images",
        "a .png (one grid), a .npz (array `images`, uint8 [N, H, W, C]), or a folder (a PNG each)",
    )
    interpolate: str | None = setting(
        None,
        "Latent space",
        "the way from image to image, as 3,7,12: a strip (.png) or film (.gif)",
    )
    walk: int | None = setting(
        None,
        "Latent space",
        "a closed latent walk through so many images: .png or .gif",
        at_least(2),
    )
    frames: int = setting(12, "Latent space", "steps from each image to the next", AT_LEAST_ONE)
    linear: bool = setting(False, "Latent space", "go straight instead of along great circles")
    arithmetic: str | None = setting(
        None, "Latent space", "a sum, as 12+40-7 or (1,4,9)-(2,3)+5, drawn as an equation (.png)"
    )
    nearest: bool = setting(
        False, "Latent space", "each image below the training image that is nearest (.png)"
    )
    project: str | None = setting(
        None, "Latent space", "a picture, drawn beside the nearest that the generator makes (.png)"
    )
    activations: bool = setting(
        False, "Latent space", "what the discriminator's last convolution looks at (.png)"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        modes = [name for name in MODES if getattr(self, name)]
        if len(modes) > 1:
            raise UserError(f"--{' and --'.join(modes)} can't be drawn at once: give one")
        if modes and Path(self.output).suffix not in MODES[modes[0]]:
            wanted = " or ".join(MODES[modes[0]])
            raise UserError(f"--{modes[0]} draws a {wanted}, and --output is {self.output}")

    @property
    def mode(self) -> str | None:
        """Which view of the latent space is asked for, if any."""
        return next((name for name in MODES if getattr(self, name)), None)


def main() -> None:
    """Reads the flags, loads the generator, and writes what it draws."""
    (flags,) = parse(__doc__, SampleFlags)
    output = Path(flags.output)
    with quiet_tensorflow():
        from dcgan_tf.run_directory import RunDirectory
        from dcgan_tf.sampling import load_generator, sample_images, writer_for

    run_directory = RunDirectory(Path(flags.run_dir))
    if flags.mode:
        from dcgan_tf.latent.views import draw_latent

        print(draw_latent(run_directory, flags, output))
        return
    write = writer_for(output)
    generator, config, step = load_generator(run_directory, flags.checkpoint)
    numbers = (flags.seed, flags.num_images, flags.batch_size, flags.truncate)
    write(sample_images(generator, config, *numbers))
    print(f"{flags.num_images} images of seed {flags.seed}, from step {step}: {output}")
