"""The linear probe on folders of pictures, which may have any number of classes."""

import imageio.v3 as iio
import numpy as np
import pytest

from dcgan_tf.commands import features, train
from dcgan_tf.evaluation import linear_probe
from tests.conftest import RESOLVED


def draw(labels, classes, rng):
    """Pictures, uint8 [N, 16, 16, 1], of a shade for each class, with noise."""
    shades = np.linspace(40, 215, classes)[labels, None, None, None]
    return (shades + rng.uniform(-3, 3, (len(labels), 16, 16, 1))).astype(np.uint8)


@pytest.mark.thorough
@pytest.mark.parametrize("classes", [3, 12])
def test_command_takes_any_number_of_classes(run_main, tmp_path, monkeypatch, classes):
    monkeypatch.setattr(linear_probe, "CLASSIFIER_STEPS", 4)
    rng = np.random.default_rng(0)
    for i in range(classes):
        (tmp_path / "data" / f"class_{i:02}").mkdir(parents=True)
        for j, picture in enumerate(draw(np.full(12, i), classes, rng)):
            iio.imwrite(tmp_path / "data" / f"class_{i:02}" / f"{j}.png", picture[..., 0])
    run = f"--run_dir={tmp_path / 'run'}"
    flags = ["--dataset=folder", "--image_size=16", "--held_out=0.25", "--max_steps=2"]
    flags += ["--batch_size=8", "--base_filters=4", "--eval_every=0", *RESOLVED]
    code, _, err = run_main(train, run, f"--data_dir={tmp_path / 'data'}", *flags)
    assert code == 0, err
    code, out, err = run_main(features, run, f"--labels={6 * classes}", "--generated=20")
    assert code == 0, err
    lines = out.splitlines()
    assert lines[0].startswith(f"{6 * classes} labeled images") and len(lines) == 6


@pytest.mark.thorough
def test_generated_images_are_added_to_more_than_ten_classes(monkeypatch):
    monkeypatch.setattr(linear_probe, "CLASSIFIER_STEPS", 300)
    rng = np.random.default_rng(0)
    sets = [np.arange(count) % 12 for count in (120, 300, 240)]
    (images, labels), (generated, _), (test, test_labels) = [
        (draw(numbers, 12, rng), numbers) for numbers in sets
    ]
    found = linear_probe.train_with_pseudo_labels(images, labels, generated, test, test_labels, 0)
    assert found.accuracy_without > 0.9 and found.accuracy_with > 0.9
