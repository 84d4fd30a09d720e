"""Draws images from a run, or a view of its latent space.

Without --run_dir, it uses the newest run in runs/, or the pretrained generator of digits if there
is none. Image i of a seed does not depend on the batch size or the number of images. The flags of
the latent space take such image indices, starting from 0. For a conditional run, --label selects a
class; without it, each image has its own random class.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from dcgan_tf.commands.flags import parse
from dcgan_tf.commands.program import quiet_tensorflow
from dcgan_tf.commands.run_flags import CheckpointFlags, GeneratorFlags
from dcgan_tf.conditional.labels import ALL_CLASSES
from dcgan_tf.files.atomic_files import check_file
from dcgan_tf.latent.arithmetic import parse_arithmetic, parse_indices
from dcgan_tf.settings.errors import UserError
from dcgan_tf.settings.fields import (
    AT_LEAST_ONE,
    AT_LEAST_ZERO,
    POSITIVE,
    at_least,
    between,
    setting,
)


@dataclasses.dataclass(frozen=True)
class SampleFlags(CheckpointFlags, GeneratorFlags):
    """What to draw, and the output file."""

    num_images: int = setting(16, "Images", "number of images", AT_LEAST_ONE)
    label: str | None = setting(
        None,
        "Images",
        "class to draw, or all: --num_images of every class, one class per row",
    )
    seed: int = setting(0, "Images", "seed of the noise", AT_LEAST_ZERO)
    batch_size: int = setting(256, "Images", "images per batch", between(1, 65_536))
    truncation: float | None = setting(
        None,
        "Images",
        "truncation trick: keep the noise within ± this, for more typical but less varied images",
        POSITIVE,
        old_name="truncate",
    )
    output: str = setting(
        "samples.png",
        "Images",
        "a .png (one grid), a .npz (array images, uint8 [N, H, W, C]), or a folder (of PNGs)",
        is_path=True,
    )
    interpolate: str | None = setting(
        None, "Latent space", "interpolation between images, such as 3,7,12 (.png or .gif)"
    )
    latent_walk: int | None = setting(
        None,
        "Latent space",
        "closed latent walk through this many images (.png or .gif)",
        at_least(2),
        old_name="walk",
    )
    frames: int = setting(12, "Latent space", "frames between consecutive images", AT_LEAST_ONE)
    linear: bool = setting(False, "Latent space", "interpolate linearly instead of spherically")
    arithmetic: str | None = setting(
        None,
        "Latent space",
        "latent arithmetic, such as 12+40-7 or (1,4,9)-(2,3)+5, drawn as an equation (.png)",
    )
    nearest: bool = setting(
        False, "Latent space", "images below their nearest training images (.png)"
    )
    project: str | None = setting(
        None, "Latent space", "image file to draw beside its projection (.png)", is_path=True
    )
    top_activations: bool = setting(
        False,
        "Latent space",
        "training images that activate the discriminator's last convolution most, with guided "
        "backpropagation (.png)",
        old_name="activations",
    )

    @classmethod
    def from_flags(cls, given: dict[str, Any]) -> "SampleFlags":
        """The given flags, with the default generator if none is given."""
        if not given.keys() & {"run_dir", "pretrained"}:
            given = given | default_generator()
        flags = super().from_flags(given)
        view = next(iter(flags.views), None)
        used = VIEWS[view].flags if view else GRID_FLAGS
        known = {*GRID_FLAGS, *(name for row in VIEWS.values() for name in row.flags)}
        for name in sorted(known & given.keys() - {*used}):
            users = " or --".join(each for each, row in VIEWS.items() if name in row.flags)
            where = f"with --{view}" if view else f"without --{users}"
            raise UserError(f"--{name} has no effect {where}: leave it out")
        return flags

    def __post_init__(self) -> None:
        super().__post_init__()
        views = self.views
        if len(views) > 1:
            raise UserError(f"--{' and --'.join(views)} can't be combined: use only one")
        for name in views:
            if self.label == ALL_CLASSES:
                raise UserError(
                    f"--{name} draws images of one class: set --label to a class, not {ALL_CLASSES}"
                )
            if Path(self.output).suffix not in VIEWS[name].suffixes:
                wanted = " or ".join(VIEWS[name].suffixes)
                raise UserError(f"--{name} writes a {wanted}, but --output is {self.output}")
            check_file(Path(self.output), "--output")

    @property
    def views(self) -> list[str]:
        """The requested views of the latent space."""
        return [name for name in VIEWS if getattr(self, name) not in (None, False)]


def default_generator() -> dict[str, str]:
    """The newest run in runs/, or the pretrained generator of digits if there is none."""
    saved = Path("runs").glob("*/checkpoints/checkpoint")
    newest = max(saved, key=lambda file: file.stat().st_mtime, default=None)
    name, value = ("run_dir", str(newest.parents[1])) if newest else ("pretrained", "mnist")
    print(f"drawing from --{name} {value}")
    return {name: value}


class View(NamedTuple):
    """A view of the latent space.

    Attributes:
        suffixes: file formats for the output.
        function: the name of a function in `latent/views.py`, which is slow to import.
        values: maps the flags to the function's arguments after the source and the output.
        flags: other flags that the view uses.
    """

    suffixes: tuple[str, ...]
    function: str
    values: Callable[[Any], tuple]
    flags: tuple[str, ...] = ()


GRID_FLAGS = ("num_images", "batch_size")  # used without a view

# Keyed by flag.
VIEWS = {
    "interpolate": View(
        (".png", ".gif"),
        "draw_interpolation",
        lambda flags: (
            parse_indices("--interpolate", flags.interpolate, 2),
            flags.frames,
            flags.linear,
        ),
        ("frames", "linear"),
    ),
    "latent_walk": View(
        (".png", ".gif"),
        "draw_latent_walk",
        lambda flags: (flags.latent_walk, flags.frames, flags.linear),
        ("frames", "linear"),
    ),
    "arithmetic": View(
        (".png",), "draw_arithmetic", lambda flags: (parse_arithmetic(flags.arithmetic),)
    ),
    "nearest": View((".png",), "draw_nearest", lambda flags: (flags.num_images,), ("num_images",)),
    "project": View((".png",), "draw_projection", lambda flags: (Path(flags.project),)),
    "top_activations": View((".png",), "draw_top_activations", lambda flags: ()),
}


def main() -> None:
    """Reads the flags, loads the generator, and writes the images."""
    (flags,) = parse(__doc__, SampleFlags)
    output = Path(flags.output)
    view = next((VIEWS[name] for name in flags.views), None)
    values = view.values(flags) if view else ()
    with quiet_tensorflow():
        from dcgan_tf.reporting.sample_files import writer_for
        from dcgan_tf.run.run_directory import RunDirectory
        from dcgan_tf.sampling.sampler import load_generator, sample_images

    run = RunDirectory(flags.run_path)
    if view:
        from dcgan_tf.latent import views

        images = (flags.seed, flags.truncation, flags.label)
        source = views.load_source(run, flags.checkpoint, *images)
        line = getattr(views, view.function)(source, output, *values)
        print(f"{line}, from step {source.step}: {output}")
        return
    of_all = flags.label == ALL_CLASSES
    write = writer_for(output, columns=flags.num_images if of_all else None)
    generator, config, step = load_generator(run, flags.checkpoint)
    classes = run.read_classes()
    names = (classes.names or [ALL_CLASSES]) if of_all else [flags.label]
    labels = [None if name is None else classes.index(name) for name in names]
    sampling = (flags.seed, flags.num_images, flags.batch_size, flags.truncation)
    batches = (
        batch
        for label in labels
        for batch in sample_images(generator, config, *sampling, classes, label)
    )
    write(batches, (len(labels) * flags.num_images, *generator.output_shape[1:]))
    of_classes = {None: "", ALL_CLASSES: f" of each of {len(labels)} classes"}
    of_class = of_classes.get(flags.label, f" of class {flags.label}")
    print(f"{flags.num_images} images{of_class} of seed {flags.seed}, from step {step}: {output}")
