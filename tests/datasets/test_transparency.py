import numpy as np
import pytest
from PIL import Image

from dcgan_tf.data import scale, to_uint8
from dcgan_tf.datasets import folder
from dcgan_tf.datasets.loading import resize
from dcgan_tf.datasets.transparency import are_opaque, composite
from dcgan_tf.evaluation.feature_extractors import pixels_and_edges
from dcgan_tf.evaluation.metrics import nearest
from dcgan_tf.settings.config import Config

CLEAR_GREEN = (0, 255, 0, 0)  # transparent, with a color that nobody sees
RED = (200, 0, 0, 255)


def sprites(count=3, size=(8, 8)):
    """Red in the left half; the right half is transparent, over green."""
    images = np.empty((count, *size, 4), np.uint8)
    images[:, :, : size[1] // 2], images[:, :, size[1] // 2 :] = RED, CLEAR_GREEN
    return images


def load(images, path, **settings):
    path.mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(path / f"{number}.png")
    given = {"data_dir": str(path), "image_size": images.shape[1:3], "held_out": 0.0}
    return folder.load_folder(Config(dataset="folder", **given | settings), "train")


def test_models_learn_colors_times_alpha():
    pixels = np.array([[[[200, 100, 40, 255], [200, 100, 40, 51], [9, 9, 9, 0]]]], np.uint8)
    expected = np.array([[200, 100, 40, 255], [40, 20, 8, 51], [0, 0, 0, 0]]) / 127.5 - 1
    np.testing.assert_allclose(scale(pixels).numpy()[0, 0], expected, atol=1e-6)
    expected = [[200, 100, 40, 255], [200, 100, 40, 51], [0, 0, 0, 0]]
    assert to_uint8(scale(pixels))[0, 0].tolist() == expected


def test_colors_above_their_alpha_are_clipped():
    made = np.array([[[[1.5, 0.0, -1.5, 0.0]]]], np.float32)  # of 255: 319, 127.5, -64; alpha 127.5
    assert to_uint8(made).tolist() == [[[[255, 255, 0, 128]]]]


def test_resizing_ignores_the_color_of_transparent_pixels():
    small = resize(sprites(size=(8, 12)), (4, 3))[0, 2].astype(int)  # the middle column is of both
    assert (small[:, 1] == 0).all()
    assert np.abs(small[1] - [200, 0, 0, 128]).max() <= 1


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_decoding_ignores_the_color_of_transparent_pixels(tmp_path, fit):
    images = load(sprites(size=(32, 48)), tmp_path / "pictures", channels=4, image_size=8, fit=fit)
    assert images.shape == (3, 8, 8, 4)
    seen = images[images[..., 3] > 8]
    assert len(seen) and (seen[:, 1] == 0).all() and np.abs(seen[:, 0].astype(int) - 200).max() < 9
    if fit == "pad":
        assert (images[:, 0, :, 3] == 0).all() and (images[:, 4, 0] == RED).all()


@pytest.mark.parametrize("channels, pixel", [(None, (255,) * 3), (3, (255,) * 3), (1, (255,))])
def test_images_are_composited_on_the_background_unless_alpha_is_learned(tmp_path, channels, pixel):
    images = load(sprites(), tmp_path / "pictures", channels=channels)
    assert images.shape == (3, 8, 8, len(pixel)) and tuple(images[0, 0, 7]) == pixel


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "CMYK", "I;16"])
def test_images_of_any_kind_get_an_alpha(tmp_path, mode):
    (tmp_path / "pictures").mkdir()
    image = Image.fromarray(np.full((8, 8), 255, np.uint16 if mode == "I;16" else np.uint8))
    suffix = "tif" if mode == "CMYK" else "png"
    made = image if mode == "I;16" else image.convert("RGB").convert(mode)
    made.save(tmp_path / "pictures" / f"a.{suffix}")
    given = {"data_dir": str(tmp_path / "pictures"), "image_size": 8, "held_out": 0.0}
    images = folder.load_folder(Config(dataset="folder", channels=4, **given), "train")
    assert images.shape == (1, 8, 8, 4) and (images == 255).all()


def test_arrays_have_an_alpha_too(tmp_path):
    (tmp_path / "arrays").mkdir()
    np.save(tmp_path / "arrays" / "a.npy", sprites(5))
    given = {"dataset": "folder", "data_dir": str(tmp_path / "arrays"), "held_out": 0.0}
    images = folder.load_folder(Config(**given, image_size=8, channels=4), "train")
    assert np.array_equal(scale(images), scale(sprites(5)))
    assert folder.load_folder(Config(**given, image_size=8), "train").shape == (5, 8, 8, 3)


def test_images_with_full_alpha_everywhere_are_opaque():
    images = np.full((2500, 2, 2, 4), 255, np.uint8)
    assert are_opaque(images) and not are_opaque(images[..., :3])
    images[2400, 1, 1, 3] = 254
    assert not are_opaque(images)


def test_the_color_of_transparent_pixels_changes_no_metric():
    green, black = sprites(), sprites()
    black[black[..., 3] == 0] = 0
    extract = pixels_and_edges(Config())
    assert np.array_equal(extract(green).features, extract(black).features)
    assert extract(green).features.shape == (3, 80)
    faint = black.copy()
    faint[:, :, 4:] = (255, 255, 255, 128)
    assert (extract(faint).features[:, :64] != extract(black).features[:, :64]).any()
    assert nearest(green, black)[0].tolist() == [0.0] * 3
    assert nearest(green, faint)[0][0] > 10


def test_a_background_shows_through():
    pixels = np.array([[[[200, 100, 0, 255], [200, 100, 0, 51], [9, 9, 9, 0]]]], np.uint8)
    shown = composite(pixels, np.array([0, 0, 255]))
    assert shown.tolist() == [[[[200, 100, 0], [40, 20, 204], [0, 0, 255]]]]
    assert composite(shown, np.array(0)) is shown
