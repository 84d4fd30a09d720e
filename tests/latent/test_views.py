import json
import shutil

import imageio.v3 as iio
import numpy as np
import pytest

from dcgan_tf.commands import sample, train
from dcgan_tf.datasets import loading
from dcgan_tf.datasets.tfrecords import write_tfrecords
from dcgan_tf.settings.config import Config
from tests.conftest import one_sentence, train_command, write_idx
from tests.sampling.test_sampler import draw


def test_interpolation_has_a_row_from_each_image_to_the_next(run_main, finished_run, tmp_path):
    out = draw(run_main, finished_run, tmp_path / "s.png", "--interpolate=3,5,1", "--frames=4")
    assert "9 images by spherical interpolation, from step 12" in out
    draw(run_main, finished_run, tmp_path / "all.npz", "--num_images=6")
    with np.load(tmp_path / "all.npz") as archive:
        images = archive["images"].astype(int)[..., 0]
    rows = iio.imread(tmp_path / "s.png").astype(int)
    tile = 28 * 3 + 2
    assert rows.shape == (2 * tile + 2, 5 * tile + 2)
    for number, row, column in ((3, 0, 0), (5, 0, 4), (5, 1, 0), (1, 1, 4)):
        top, left = row * tile + 2, column * tile + 2
        shown = rows[top : top + 84 : 3, left : left + 84 : 3]
        assert np.abs(shown - images[number]).max() <= 1


def test_latent_walk_is_a_closed_gif(run_main, finished_run, tmp_path):
    out = draw(
        run_main, finished_run, tmp_path / "w.gif", "--latent_walk=3", "--frames=2", "--linear"
    )
    assert "6 images by linear interpolation," in out
    assert len(iio.imread(tmp_path / "w.gif", index=None)) == 6
    assert [iio.immeta(tmp_path / "w.gif", index=i)["duration"] for i in (0, 5)] == [60, 60]


@pytest.mark.thorough
def test_equation_nearest_and_projection_are_drawn(run_main, finished_run, tmp_path):
    out = draw(run_main, finished_run, tmp_path / "e.png", "--arithmetic=(1,4)-2+5")
    assert "latent arithmetic of 3 terms" in out
    assert iio.imread(tmp_path / "e.png").shape[:2] == (420, 720)
    out = draw(run_main, finished_run, tmp_path / "n.png", "--nearest", "--num_images=5")
    assert "5 images below their nearest" in out
    assert iio.imread(tmp_path / "n.png").shape == (2 * 86 + 2, 5 * 86 + 2)
    draw(run_main, finished_run, tmp_path / "digit", "--num_images=1", "--seed=9")
    digit = tmp_path / "digit" / "000000.png"
    out = draw(run_main, finished_run, tmp_path / "p.png", f"--project={digit}")
    assert float(out.split("(distance ")[1].split()[0]) < 30


def test_top_activations_are_six_filters_in_pairs_of_rows(run_main, finished_run, tmp_path):
    out = draw(run_main, finished_run, tmp_path / "a.png", "--top_activations")
    assert "8 top-activating images of 50," in out
    assert iio.imread(tmp_path / "a.png").shape[1] == 8 * 30 + 2


def test_top_activations_of_fewer_images_and_filters(run_main, mnist, tmp_path):
    write_idx(tmp_path / "train-images-idx3-ubyte", mnist[:5])
    flags = train_command(tmp_path / "run", tmp_path, "--base_filters=2", "--max_steps=1")[2:]
    assert run_main(train, *flags, "--batch_size=4")[0] == 0
    out = draw(run_main, tmp_path / "run", tmp_path / "a.png", "--top_activations")
    assert "4 filters" in out and "5 top-activating images of 5," in out
    # Rows of images and of their gradients in turn: gray where there is no gradient.
    picture = iio.imread(tmp_path / "a.png")
    assert picture.shape == (8 * 86 + 2, 5 * 86 + 2)
    assert [picture[row * 86 + 2, 2] > 100 for row in range(8)] == [False, True] * 4


@pytest.fixture
def run_on_disk(finished_run, digits_dir, tmp_path):
    """The finished run, as one of the same digits in TFRecords, which stay on disk."""
    run = shutil.copytree(finished_run, tmp_path / "run")
    digits = loading.load_images(Config(data_dir=str(digits_dir), batch_size=8))
    write_tfrecords(digits, tmp_path / "records", "train", 2)
    values = json.loads((run / "config.json").read_text())
    values |= {"dataset": "tfrecords", "data_dir": str(tmp_path / "records")}
    (run / "config.json").write_text(json.dumps(values))
    return run


@pytest.mark.parametrize("flag", ["--nearest", "--top_activations"])
def test_training_images_may_stay_on_disk(run_main, finished_run, run_on_disk, tmp_path, flag):
    draw(run_main, finished_run, tmp_path / "memory.png", flag)
    draw(run_main, run_on_disk, tmp_path / "disk.png", flag)
    assert (tmp_path / "disk.png").read_bytes() == (tmp_path / "memory.png").read_bytes()


@pytest.mark.parametrize(
    "flags, expected",
    [
        (["--num_images=9", "--latent_walk=2"], "--num_images has no effect with --latent_walk"),
        (["--frames=9", "--nearest"], "--frames has no effect with --nearest"),
        (["--linear"], "--linear has no effect without --interpolate or --latent_walk"),
    ],
)
def test_flags_without_effect_are_refused(run_main, finished_run, flags, expected):
    code, _, err = run_main(sample, f"--run_dir={finished_run}", *flags)
    assert code == 1 and expected in err and one_sentence(err)


@pytest.mark.parametrize(
    "old, new, suffix",
    [
        ("--walk=2", "--latent_walk=2", "png"),
        ("--truncate=0.5", "--truncation=0.5", "npz"),
        ("--activations", "--top_activations", "png"),
    ],
)
def test_old_spellings_are_taken(run_main, finished_run, tmp_path, old, new, suffix):
    draw(run_main, finished_run, tmp_path / f"old.{suffix}", old)
    draw(run_main, finished_run, tmp_path / f"new.{suffix}", new)
    old, new = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in ("old", "new"))
    assert old == new


@pytest.mark.parametrize(
    "flags, expected",
    [
        (["--latent_walk=3", "--nearest"], "--latent_walk and --nearest can't be combined"),
        (["--latent_walk=1"], "--latent_walk must be a whole number from 2"),
        (["--interpolate=3"], "--interpolate must name 2 to 100 images, not 1"),
        (["--interpolate=3,x"], "--interpolate must be image indices"),
        (["--interpolate="], "--interpolate is empty: set a value, or leave it out"),
        (["--project="], "--project is empty: set a value, or leave it out"),
        (["--arithmetic=1+"], "--arithmetic must be a sum such as"),
        (["--project=absent.png"], "--project absent.png can't be used"),
        (["--truncation=0"], "--truncation must be a number above 0"),
    ],
)
def test_mistakes(run_main, finished_run, tmp_path, flags, expected):
    output = tmp_path / "x.png"
    code, _, err = run_main(sample, f"--run_dir={finished_run}", f"--output={output}", *flags)
    assert code == 1 and expected in err and one_sentence(err)
    assert not output.exists()


def test_views_are_pictures(run_main, finished_run, tmp_path):
    code, _, err = run_main(
        sample, f"--run_dir={finished_run}", f"--output={tmp_path / 'x.npz'}", "--latent_walk=2"
    )
    assert code == 1 and "--latent_walk writes a .png or .gif, but --output is" in err
