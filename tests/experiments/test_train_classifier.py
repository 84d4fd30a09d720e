import io

import numpy as np
import pytest
from PIL import Image

from experiments import train_classifier
from tests.conftest import one_sentence


def refuse(*_):
    raise AssertionError("nothing is to be trained")


def test_help_is_printed_and_nothing_trained(run_main, monkeypatch):
    monkeypatch.setattr(train_classifier, "train_classifier", refuse)
    code, out, err = run_main(train_classifier, "--help")
    assert code == 0 and "usage: " in out and "--output" in out and err == ""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("weights.h5", "weights.h5 is not a .npz"),
        ("absent/weights.npz", "there is no folder"),
        ("folder.npz", "is a folder: use a file"),
    ],
)
def test_an_invalid_output_is_refused_before_the_training(
    run_main, monkeypatch, tmp_path, name, expected
):
    monkeypatch.setattr(train_classifier, "train_classifier", refuse)
    (tmp_path / "folder.npz").mkdir()
    code, _, err = run_main(train_classifier, f"--output={tmp_path / name}")
    assert code == 1 and expected in err and one_sentence(err)


def test_batches_have_each_image_once_shifted_and_mirrored():
    """Each image is its index as a column of pixels, which a mirror image has on the other side."""
    images = np.zeros((train_classifier.BATCH_SIZE * 2, 8, 8, 3), np.uint8)
    images[:, :, 4] = np.arange(len(images))[:, np.newaxis, np.newaxis]
    batches = train_classifier.AugmentedBatches(images, np.arange(len(images)), 2, 0.0)
    assert len(batches) == 2
    epochs = []
    for _ in range(2):
        pairs = [batches[index] for index in range(2)]
        pixels, labels = (np.concatenate(each) for each in zip(*pairs))
        assert sorted(labels) == list(range(len(images)))
        columns = (pixels * 127.5 + 127.5).round()[:, 0, :, 0]
        assert np.array_equal(columns.max(axis=1), labels)
        places = columns[labels > 0].argmax(axis=1)
        assert set(places) == {1, 2, 3, 4, 5, 6}  # 2 to 6, and mirrored 1 to 5
        epochs.append(labels)
        batches.on_epoch_end()
    assert not np.array_equal(*epochs)


def test_recompressed_images_are_pillows_jpegs():
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=40)
    assert np.array_equal(train_classifier.recompress(image, 40), Image.open(file))
    batches = train_classifier.AugmentedBatches(
        np.repeat(image[np.newaxis], train_classifier.BATCH_SIZE, axis=0),
        np.zeros(train_classifier.BATCH_SIZE),
        0,
        0.4,
    )
    pixels, _ = batches[0]
    same = [
        any(np.allclose(each, wanted / 127.5 - 1, atol=1e-6) for wanted in (image, image[:, ::-1]))
        for each in np.asarray(pixels)
    ]
    assert 0.4 < np.mean(same) < 0.8
