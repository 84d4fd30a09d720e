"""Evaluates the images of a run: prints a table and writes it to the run's folder.

Generated images are compared with held-out images. The column "real" is a baseline: the scores of
training images in place of generated ones. For a conditional run, the table also has the fraction
of images that a classifier assigns to the requested class, and the distance within each class.
evaluation.json has all scores; closest.png shows the generated images that are nearest to a
training image, each below that image. For a --pretrained generator, both files go to the current
folder.
"""

import dataclasses
import json
from typing import Any

import numpy as np

from dcgan_tf.commands.flags import parse
from dcgan_tf.commands.program import quiet_tensorflow
from dcgan_tf.commands.run_flags import GeneratorFlags
from dcgan_tf.evaluation.scores import MAX_CLASSES, METRICS
from dcgan_tf.settings.fields import between, setting

MEMORIZATION_ROWS = {
    "distance": "to nearest training image",
    "closer": "nearer than 99% of held-out",
}


@dataclasses.dataclass(frozen=True)
class EvaluateFlags(GeneratorFlags):
    """Which images to evaluate."""

    checkpoint: str | None = setting(
        None, "Run", "step of the checkpoint, best, or all (default: the newest)"
    )
    num_images: int = setting(
        10_000, "Images", "maximum number of generated and of real images", between(20, 100_000)
    )
    inception_weights: str | None = setting(
        None,
        "Images",
        "as for dcgan train (default: the run's)",
        is_path=True,
    )


def main() -> None:
    """Reads the flags, evaluates the checkpoints, and prints and writes the scores."""
    (flags,) = parse(__doc__, EvaluateFlags)
    with quiet_tensorflow():
        from dcgan_tf.evaluation.evaluator import evaluate_run
        from dcgan_tf.files.atomic_files import atomic_write
        from dcgan_tf.reporting.images import image_grid, save_png
        from dcgan_tf.run.run_directory import RunDirectory

    found, originals, closest = evaluate_run(
        RunDirectory(flags.run_path), flags.checkpoint, flags.num_images, flags.inception_weights
    )
    print(table(found), flush=True)
    output = RunDirectory(flags.output_folder)
    pairs = image_grid(np.concatenate([originals, closest]), columns=len(closest))
    save_png(output.closest_picture, pairs)
    with atomic_write(output.evaluation_file) as file:
        file.write((json.dumps(found, indent=2) + "\n").encode())
    print(f"written: {output.evaluation_file}, {output.closest_picture}")


def table(found: dict[str, Any]) -> str:
    """A table of `evaluate_run`'s scores: a column per checkpoint, and one for real images."""
    checkpoints = found["checkpoints"]
    columns = [*checkpoints.values(), found["real"]]
    steps = [f"step {step}" for step in checkpoints]
    at, headings = (f" at {steps[0]}", ["generated"]) if len(steps) == 1 else ("", steps)
    lines = [
        f"{found['num_images']:,} generated{at} against {found['num_held_out']:,} "
        f"{found['compared_with']} images, evaluated with: {found['feature_extractor']}",
        row("", [*headings, "real"]),
    ]
    for name, metric in METRICS.items():
        values = [column[name] for column in columns if name in column]
        if values and np.ndim(values[0]) == 0:
            lines.append(row(metric.label, [metric.show(value) for value in values]))
        elif values and len(values[0]) <= MAX_CLASSES:
            for i, of_class in enumerate(zip(*values)):
                # A feature extractor may know more classes than the run learns.
                label = found["classes"][i] if i < len(found["classes"]) else i
                cells = [metric.show_class(value) for value in of_class]
                lines.append(row(f"{metric.label}, {label}", cells))
    if found["compared_with"] == "held-out":
        memories = [checkpoint["memorization"] for checkpoint in checkpoints.values()]
        held_out = {"distance": memories[0]["held_out_distance"], "closer": 0.01}
        for name, label in MEMORIZATION_ROWS.items():
            values = [*(memory[name] for memory in memories), held_out[name]]
            lines.append(row(label, [f"{value:.3f}" for value in values]))
    else:
        lines.append("no images are held out, so copies of training images can't be detected")
    lines.append(
        "compare Fréchet distances only at equal image counts: fewer images give larger distances"
    )
    few = min(found["num_images"], found["num_held_out"])
    if hidden := [metric.label for metric in METRICS.values() if metric.min_images > few]:
        names = ", ".join(label for label in hidden if not label.startswith(" "))
        lines.append(f"left out because they need more than {few} images: {names}")
    if found["warning"]:
        lines.append(f"warning: {found['warning']}")
    return "\n".join(lines)


def row(label: str, cells: list[str]) -> str:
    return f"{label:<30}" + "".join(f"{cell:>13}" for cell in cells)
