import sys

import imageio.v3 as iio
import numpy as np
import pytest

from dcgan_tf.commands import train
from tests.conftest import ROOT, finish, fork, one_sentence


def test_preview_shows_unchanged_and_augmented_images(run_main, digits_dir, mnist, tmp_path):
    preview, data = tmp_path / "preview.png", f"--data_dir={digits_dir}"
    code, out, _ = run_main(
        train, data, "--augment=translation", f"--augment_preview={preview}", "--batch_size=8"
    )
    assert code == 0 and str(preview) in out
    assert list(tmp_path.iterdir()) == [preview]
    tiles = iio.imread(preview)[2:, 2:].reshape(8, 86, 8, 86).swapaxes(1, 2)[:, :, :84:3, :84:3]
    np.testing.assert_array_equal(tiles[0], mnist[:8])
    changed = [
        not np.array_equal(tile, mnist[i]) for row in tiles[1:] for i, tile in enumerate(row)
    ]
    assert np.mean(changed) > 0.9


@pytest.mark.thorough
def test_preview_names_damaged_images(tmp_path):
    for i in range(40):
        iio.imwrite(tmp_path / f"{i}.png", np.full((16, 16), 6 * i, np.uint8))
    (tmp_path / "7.png").write_bytes((tmp_path / "7.png").read_bytes()[:50])
    flags = ["--preset=small", "--dataset=folder", f"--data_dir={tmp_path}", "--image_size=16"]
    flags += ["--max_bad_images=0.1", f"--augment_preview={tmp_path}.png"]
    code, out, err = finish([sys.executable, str(ROOT / "train.py"), *flags], how=fork)
    assert code == 0 and "augmented versions below" in out
    assert "7.png" in err and "damaged and left out" in err


def test_preview_errors_are_one_sentence(run_main, digits_dir, tmp_path):
    for flags, words in (
        ([f"--augment_preview={tmp_path}/preview.png"], "needs --augment"),
        (["--augment=color", f"--augment_preview={tmp_path}/no/preview.png"], "there is no folder"),
        (["--augment=color", f"--augment_preview={tmp_path}/preview.jpg"], "must be a .png"),
        (
            ["--augment=color", "--image_size=65", f"--augment_preview={tmp_path}/preview.png"],
            "--image_size 65 is not 4 to 7 times",
        ),
        (["--augment=colour"], "color,translation,cutout, separated by commas, not 'colour'"),
    ):
        code, _, err = run_main(train, f"--data_dir={digits_dir}", "--batch_size=8", *flags)
        assert code == 1 and one_sentence(err) and words in err
    assert list(tmp_path.iterdir()) == []
