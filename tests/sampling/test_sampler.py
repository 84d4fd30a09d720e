import json
import sys

import imageio.v3 as iio
import keras
import numpy as np
import pytest

from dcgan_tf.commands import sample
from dcgan_tf.reporting.sample_files import writer_for
from dcgan_tf.sampling.sampler import compile_generator
from tests.conftest import ROOT, finish, one_sentence


def draw(run_main, run, output, *flags):
    code, out, err = run_main(sample, f"--run_dir={run}", f"--output={output}", *flags)
    assert code == 0, err
    return out


def test_images_do_not_depend_on_batch_size_or_number(run_main, finished_run, tmp_path):
    sets = []
    for name, flags in {
        "a": ["--num_images=21"],
        "b": ["--num_images=21", "--batch_size=4"],
        "c": ["--num_images=5", "--batch_size=1"],
    }.items():
        draw(run_main, finished_run, tmp_path / f"{name}.npz", *flags)
        with np.load(tmp_path / f"{name}.npz") as archive:
            sets.append(archive["images"].astype(int))
    assert sets[0].shape == (21, 28, 28, 1) and sets[2].shape == (5, 28, 28, 1)
    assert np.abs(sets[0] - sets[1]).max() <= 1
    assert np.abs(sets[0][:5] - sets[2]).max() <= 1
    assert sets[0].std() > 1


def test_seed_of_the_run_gives_its_last_grid(run_main, finished_run, tmp_path):
    out = draw(run_main, finished_run, tmp_path / "s.png")
    assert "step 12" in out
    grid = iio.imread(finished_run / "samples" / "epoch_0002.png").astype(int)
    assert np.abs(iio.imread(tmp_path / "s.png") - grid).max() <= 1


def test_generators_that_are_drawn_from_again_and_again_are_no_retracing(caplog):
    generator = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    for _ in range(8):
        sampler = compile_generator(generator, 3)
        assert sampler(np.zeros((5, 2), np.float32)).tolist() == [[128]] * 5
    assert "retracing" not in caplog.text


def test_folder_gets_a_png_for_each_image(run_main, finished_run, tmp_path):
    draw(run_main, finished_run, tmp_path / "s", "--num_images=3", "--seed=5")
    draw(run_main, finished_run, tmp_path / "s.npz", "--num_images=3", "--seed=5")
    with np.load(tmp_path / "s.npz") as archive:
        images = archive["images"]
    names = sorted(path.name for path in (tmp_path / "s").iterdir())
    assert names == ["000000.png", "000001.png", "000002.png"]
    for name, image in zip(names, images):
        assert np.array_equal(iio.imread(tmp_path / "s" / name), image[..., 0])
    code, _, err = run_main(sample, f"--run_dir={finished_run}", f"--output={tmp_path / 's'}")
    assert code == 1 and "has files in it already" in err


@pytest.mark.parametrize("output", [".", "new/folder"])
def test_folder_may_be_the_current_one_or_new(
    run_main, finished_run, tmp_path, monkeypatch, output
):
    monkeypatch.chdir(tmp_path)
    draw(run_main, finished_run, output, "--num_images=2")
    names = sorted(path.name for path in (tmp_path / output).iterdir())
    assert names == ["000000.png", "000001.png"]


def test_folder_that_could_not_be_filled_is_as_before(tmp_path):
    def fail():
        yield np.zeros((2, 4, 4, 1), np.uint8)
        raise ZeroDivisionError

    (tmp_path / "old").mkdir()
    for name in ("old", "new"):
        with pytest.raises(ZeroDivisionError):
            writer_for(tmp_path / name)(fail(), (4, 4, 4, 1))
    assert [path.name for path in tmp_path.rglob("*")] == ["old"]


def test_an_array_is_written_as_it_is_drawn(tmp_path):
    """Without all images in memory, and as numpy writes it."""
    written = []

    def batches():
        for i in range(3):
            written.append((tmp_path / ".a.npz.part").stat().st_size)
            yield np.full((100, 64, 64, 3), i, np.uint8)

    writer_for(tmp_path / "a.npz")(batches(), (300, 64, 64, 3))
    assert written[0] < written[1] < written[2]
    with np.load(tmp_path / "a.npz", allow_pickle=False) as archive:
        assert archive.files == ["images"] and archive["images"].shape == (300, 64, 64, 3)
        assert archive["images"][:, 0, 0, 0].tolist() == np.repeat(range(3), 100).tolist()


@pytest.mark.parametrize(
    "flags",
    [
        ["--num_images=2147483647"],
        ["--num_images=2147483647", "--nearest"],
        ["--latent_walk=2147483647"],
        ["--interpolate=1,2", "--frames=2147483647", "--output=a.gif"],
        ["--num_images=42800"],
    ],
    ids=lambda flags: flags[-1],
)
def test_too_many_images_for_a_picture_are_refused_at_once(
    run_main, finished_run, tmp_path, monkeypatch, flags
):
    monkeypatch.chdir(tmp_path)
    code, _, err = run_main(sample, f"--run_dir={finished_run}", *flags)
    assert code == 1 and "images of 28×28 are too many for one picture" in err and one_sentence(err)
    assert "can have 42,799: use" in err and not list(tmp_path.iterdir())


@pytest.mark.thorough
def test_what_the_user_has_keras_do_elsewhere_does_not_matter(finished_run, tmp_path):
    (tmp_path / "keras.json").write_text(
        json.dumps({"backend": "torch", "image_data_format": "channels_first", "floatx": "float16"})
    )
    command = ["env", f"KERAS_HOME={tmp_path}", "KERAS_BACKEND=jax", sys.executable]
    command += [ROOT / "sample.py", f"--run_dir={finished_run}", f"--output={tmp_path / 'a.png'}"]
    assert finish(command) == (0, f"16 images of seed 0, from step 12: {tmp_path / 'a.png'}\n", "")
    grid = iio.imread(finished_run / "samples" / "epoch_0002.png").astype(int)
    assert np.abs(iio.imread(tmp_path / "a.png") - grid).max() <= 1


@pytest.mark.parametrize("name", [".", "absent.png"])
def test_what_cannot_be_projected_is_named(run_main, finished_run, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    code, _, err = run_main(sample, f"--run_dir={finished_run}", f"--project={name}")
    reason = {".": "not a regular file", "absent.png": "No such file or directory"}[name]
    assert code == 1 and err.endswith(f": --project {name} can't be used: {reason}\n")


def test_checkpoint_by_step(run_main, finished_run, tmp_path):
    draw(run_main, finished_run, tmp_path / "s.png", "--checkpoint=10")
    code, _, err = run_main(sample, f"--run_dir={finished_run}", "--checkpoint=11")
    assert code == 1 and "no checkpoint of step 11; available: 8, 10, 12" in err
    assert one_sentence(err)


@pytest.mark.parametrize(
    "output, expected, view",
    [
        ("x.jpg", "ends in .jpg", []),
        ("absent/x.png", "there is no folder", []),
        ("absent/x.png", "there is no folder", ["--latent_walk=2"]),
    ],
)
def test_bad_output_is_one_sentence(run_main, finished_run, tmp_path, output, expected, view):
    flags = [f"--run_dir={finished_run}", f"--output={tmp_path / output}"]
    code, _, err = run_main(sample, *flags, *view)
    assert code == 1 and expected in err and one_sentence(err)
    assert list(tmp_path.iterdir()) == []


def test_run_without_checkpoint_is_one_sentence(run_main, finished_run, tmp_path):
    (tmp_path / "config.json").write_bytes((finished_run / "config.json").read_bytes())
    code, _, err = run_main(sample, f"--run_dir={tmp_path}", f"--output={tmp_path}/s.png")
    assert code == 1 and "no checkpoint yet" in err and one_sentence(err)


def test_folder_that_is_no_run_is_one_sentence(run_main, tmp_path):
    code, _, err = run_main(sample, f"--run_dir={tmp_path}")
    assert code == 1 and "is not a run directory" in err and one_sentence(err)
