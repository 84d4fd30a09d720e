"""Exports the generator of a run, for use without this project or for sharing.

generator.keras and saved_model/ take noise, float32 [N, noise_dim]. generator.keras returns images
as float32 in [-1, 1]; the signature of saved_model/ returns uint8 in [0, 255]. generator.tflite and
generator_float16.tflite take the noise of one image and return float32 in [-1, 1]; the latter is
half the size. generator.onnx has the inputs and outputs of generator.keras; it needs
dcgan-tf[onnx]. run/ is a run directory with only the two models, their kernels in float16, for
commands that draw images, and for --init_from of a new run. All other files compute in float32. The
command prints how far their images differ from those in the run's own precision, loads each file
again, and compares its images with the generator's. The generator of a conditional run also takes
label, int32 [N]: class indices, in the run's order. Float images with transparency have colors
multiplied by alpha.
"""

import dataclasses
from pathlib import Path

import numpy as np

from dcgan_tf.commands.flags import parse
from dcgan_tf.commands.program import quiet_tensorflow
from dcgan_tf.commands.run_flags import CheckpointFlags, GeneratorFlags
from dcgan_tf.files.atomic_files import atomic_folder, disk_errors, flush, is_free
from dcgan_tf.settings.errors import UserError
from dcgan_tf.settings.fields import setting

COMPARED_IMAGES = 16


@dataclasses.dataclass(frozen=True)
class ExportFlags(CheckpointFlags, GeneratorFlags):
    """Which generator to export, and where."""

    output: str | None = setting(
        None,
        "Export",
        "folder for the files, new or empty (default: export in the run's folder, or for a "
        "--pretrained generator in the current one)",
        is_path=True,
    )


def main() -> None:
    """Reads the flags, writes each format, and compares its images with the generator's."""
    (flags,) = parse(__doc__, ExportFlags)
    folder = Path(flags.output) if flags.output else flags.output_folder / "export"
    if not is_free(folder):
        raise UserError(f"--output {folder} is not empty: use a new or empty folder")
    with quiet_tensorflow():
        from dcgan_tf.conditional.label_inputs import with_label_input
        from dcgan_tf.fast.keras_layers import plain
        from dcgan_tf.run.run_directory import RunDirectory
        from dcgan_tf.sampling.noise import seeded_noise
        from dcgan_tf.sampling.sampler import compile_generator, load_generator
        from dcgan_tf.serving.export_formats import FORMATS, Exported

    run = RunDirectory(flags.run_path)
    generator, config, step = load_generator(run, flags.checkpoint)
    if step < config.fade_in:
        raise UserError(
            f"--run_dir {flags.run_dir} is at step {step}, and its new layers are faded in until "
            f"step {config.fade_in}: export it after that"
        )
    classes, own = run.read_classes(), plain(generator)
    noise = seeded_noise(config, config.seed, range(COMPARED_IMAGES), classes=classes)
    drawn, images = (compile_generator(each)(noise).astype(int) for each in (generator, own))
    model = with_label_input(own, config.noise_dim, len(classes)) if classes else own
    exported = Exported(run, step, own, model)
    inputs = [noise[:, : config.noise_dim]]
    if classes:
        inputs.append(noise[:, config.noise_dim :].argmax(axis=1).astype(np.int32))
    of_classes = f" and a label from 0 to {len(classes) - 1}" if classes else ""
    print(
        f"generator of step {step}, in float32: takes {config.noise} noise of {config.noise_dim} "
        f"values{of_classes}; its images are within {np.abs(images - drawn).max()} of 255 of the "
        f"run's own in {config.precision}"
    )
    differences = {}
    with atomic_folder(folder) as part, disk_errors("export", folder):
        for name, export_format in FORMATS.items():
            if export_format.missing:
                continue
            export_format.write(exported, part / name)
            made = export_format.load(part / name)(*inputs).astype(int)
            differences[name] = np.abs(made - images).max()
            if differences[name] > export_format.tolerance:
                raise UserError(
                    f"{name} would differ by {differences[name]} of 255 from the generator's "
                    f"images, more than {export_format.tolerance}: nothing was exported"
                )
        for path in part.rglob("*"):
            flush(path)
    for name, difference in differences.items():
        print(f"{folder / name}: within {difference} of 255 of the generator's images")
    for name, export_format in FORMATS.items():
        if export_format.missing:
            needed = f'pip install "dcgan-tf[{export_format.extra}]"'
            missing = ", ".join(export_format.missing)
            print(f"{name}: left out, because it needs {missing}: {needed}")
