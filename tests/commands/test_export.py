import errno
import sys
import types
import zipfile

import numpy as np
import pytest
import tensorflow as tf

from dcgan_tf.commands import export, train
from dcgan_tf.sampling.noise import seeded_noise
from dcgan_tf.serving import export_formats
from dcgan_tf.settings.choices import ARCHITECTURES
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from tests import test_resume
from tests.conftest import RESOLVED, finish, fork, one_sentence
from tests.sampling.test_sampler import draw

WRITTEN = {name for name, each in export_formats.FORMATS.items() if not each.missing}


@pytest.fixture(scope="module")
def exported(finished_run, tmp_path_factory):
    """All formats, and what the command said."""
    folder = tmp_path_factory.mktemp("export") / "out"
    command = [sys.executable, "-m", "dcgan_tf", "export", f"--run_dir={finished_run}"]
    code, out, err = finish([*command, f"--output={folder}"], how=fork)
    assert code == 0, err
    return folder, out


def test_every_format_says_how_near_it_is(exported):
    folder, out = exported
    assert {path.name for path in folder.iterdir()} == WRITTEN
    assert out.count("of 255 of the generator's images") == len(WRITTEN)
    assert out.count('pip install "dcgan-tf[onnx]"') == 1 - ("generator.onnx" in WRITTEN)
    whole, half = (folder / f"generator{kind}.tflite" for kind in ("", "_float16"))
    assert half.stat().st_size < 0.6 * whole.stat().st_size


@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_images_are_those_of_the_run(exported, run_main, finished_run, tmp_path, name):
    draw(run_main, finished_run, tmp_path / "a.npz", "--num_images=5", "--seed=4")
    with np.load(tmp_path / "a.npz") as archive:
        images = archive["images"].astype(int)
    export_format = export_formats.FORMATS[name]
    made = export_format.load(exported[0] / name)(seeded_noise(Config(), 4, range(5)))
    assert made.dtype == np.uint8
    assert np.abs(made.astype(int) - images).max() <= export_format.tolerance


def test_tflite_is_read_by_litert_where_tensorflow_no_longer_reads_it(exported, monkeypatch):
    file, noise = exported[0] / "generator.tflite", seeded_noise(Config(), 4, range(2))
    images = export_formats.load_tflite(file)(noise)
    litert = types.ModuleType("ai_edge_litert.interpreter")
    litert.Interpreter = tf.lite.Interpreter
    litert.OpResolverType = tf.lite.experimental.OpResolverType
    monkeypatch.delattr(tf.lite, "Interpreter")
    monkeypatch.setitem(sys.modules, litert.__name__, None)
    with pytest.raises(UserError, match="LiteRT is missing: pip install ai-edge-litert$"):
        export_formats.load_tflite(file)
    monkeypatch.setitem(sys.modules, litert.__name__, litert)
    monkeypatch.setitem(sys.modules, "ai_edge_litert", types.ModuleType("ai_edge_litert"))
    np.testing.assert_array_equal(export_formats.load_tflite(file)(noise), images)


@pytest.mark.skipif("generator.onnx" not in WRITTEN, reason="the extra onnx is not installed")
def test_onnx_is_used_without_tensorflow(exported):
    """In a process of its own, in which TensorFlow and this project can't be imported."""
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['tensorflow', 'keras', 'dcgan_tf']));"
        "import numpy as np, onnxruntime;"
        "session = onnxruntime.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider']);"
        "(images,) = session.run(None, {'noise': np.zeros([3, 100], np.float32)});"
        "print(images.shape, images.dtype, f'{images.sum():.2f}')"
    )
    file = exported[0] / "generator.onnx"
    code, out, err = finish([sys.executable, "-c", code, str(file)])
    expected = export_formats.load_keras(exported[0] / "generator.keras")
    assert code == 0, err
    assert out.startswith("(3, 28, 28, 1) float32")
    assert float(out.split()[-1]) == pytest.approx(
        (expected(np.zeros([3, 100], np.float32)) / 127.5 - 1).sum(), abs=3 * 784 / 255
    )


def test_a_format_whose_libraries_are_missing_is_left_out(
    run_main, finished_run, tmp_path, monkeypatch
):
    for name in export_formats.FORMATS.keys() - {"generator.keras", "generator.onnx"}:
        monkeypatch.delitem(export_formats.FORMATS, name)
    needy = export_formats.FORMATS["generator.onnx"]._replace(libraries=("json", "no_such_library"))
    monkeypatch.setitem(export_formats.FORMATS, "generator.onnx", needy)
    code, out, err = run_main(export, f"--run_dir={finished_run}", f"--output={tmp_path / 'out'}")
    assert code == 0, err
    message = (
        'generator.onnx: left out, because it needs no_such_library: pip install "dcgan-tf[onnx]"'
    )
    assert message in out and [path.name for path in (tmp_path / "out").iterdir()] == [
        "generator.keras"
    ]


def test_keras_file_is_of_keras_own_layers(exported):
    with zipfile.ZipFile(exported[0] / "generator.keras") as archive:
        description = archive.read("config.json").decode()
    assert "Conv2DTranspose" in description and "dcgan_tf" not in description


def test_saved_model_is_used_without_this_project(exported):
    serve = tf.saved_model.load(str(exported[0] / "saved_model")).signatures["serving_default"]
    images = serve(noise=tf.zeros([3, 100]))["images"]
    assert images.dtype == tf.uint8 and images.shape == (3, 28, 28, 1)


@pytest.mark.thorough
def test_every_architecture_is_exported(run_main, digits_dir, tmp_path):
    """Most differ in what their generators upsample with; `exported` has the tutorial's."""
    for name in [*ARCHITECTURES][1:]:
        run = tmp_path / name
        small = ["--batch_size=8", "--base_filters=4", "--max_steps=1", "--eval_every=0"]
        flags = [f"--data_dir={digits_dir}", f"--run_dir={run}", f"--architecture={name}"]
        code, _, err = run_main(train, *flags, *small, *RESOLVED, "--image_size=16")
        assert code == 0, err
        code, out, err = run_main(export, f"--run_dir={run}", f"--output={tmp_path / 'out' / name}")
        assert code == 0, err
        assert out.count("of 255 of the generator's images") == len(WRITTEN)


@pytest.mark.thorough
def test_a_run_in_bfloat16_is_not_what_its_export_draws(run_main, digits_dir, tmp_path):
    """It computes in float32, and the command says by how much that differs."""
    arguments = test_resume.flags(tmp_path / "run", digits_dir, "--max_steps=2")
    assert run_main(train, *arguments, "--precision=bfloat16")[0] == 0
    draw(run_main, tmp_path / "run", tmp_path / "run.npz")
    code, out, _ = run_main(export, f"--run_dir={tmp_path / 'run'}", f"--output={tmp_path / 'out'}")
    noise = seeded_noise(Config(), 0, range(16))
    made = export_formats.load_keras(tmp_path / "out" / "generator.keras")(noise).astype(int)
    with np.load(tmp_path / "run.npz") as archive:
        difference = np.abs(made - archive["images"]).max()
    assert code == 0 and difference > 0
    assert f"within {difference} of 255 of the run's own in bfloat16\n" in out


@pytest.mark.parametrize(
    "error, message",
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (tf.errors.UnknownError(None, None, "No space left"), "No space left on device"),
        (KeyboardInterrupt(), "interrupted"),
    ],
    ids=["full", "full, as TensorFlow says it", "interrupted"],
)
def test_an_export_that_did_not_end_leaves_nothing(
    run_main, finished_run, tmp_path, monkeypatch, error, message
):
    def fail(exported, path):
        path.write_bytes(bytes(100))
        raise error

    monkeypatch.delitem(export_formats.FORMATS, "saved_model")  # one is written before it
    broken = export_formats.FORMATS["generator.tflite"]._replace(write=fail)
    monkeypatch.setitem(export_formats.FORMATS, "generator.tflite", broken)
    code, out, err = run_main(export, f"--run_dir={finished_run}", f"--output={tmp_path / 'out'}")
    assert code != 0 and message in err and one_sentence(err) and "of the generator's" not in out
    assert list(tmp_path.iterdir()) == []


def test_mistakes(run_main, finished_run, tmp_path):
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    for flags, message in (
        ([], "--run_dir is required"),
        (
            [f"--run_dir={finished_run}", f"--output={tmp_path / 'used'}"],
            "is not empty: use a new",
        ),
        ([f"--run_dir={tmp_path}", f"--output={tmp_path / 'new'}"], "not a run directory"),
    ):
        code, _, err = run_main(export, *flags)
        assert code == 1 and message in err and one_sentence(err)
    assert not (tmp_path / "new").exists()
