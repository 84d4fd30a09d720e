import itertools

import imageio.v3 as iio
import keras
import numpy as np
import pytest

from dcgan_tf.cli.errors import UserError
from dcgan_tf.commands import sample
from dcgan_tf.latent import interpolation
from dcgan_tf.noise import seeded_noise
from tests.conftest import one_sentence
from tests.test_sampling import draw


def angle(a, b):
    return np.degrees(np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))


def test_spherical_way_by_hand():
    # A quarter circle, cut in three: 30° each; lengths 1 to 3 grow evenly.
    points = interpolation.slerp([1, 0], [0, 3], np.arange(4) / 3)
    np.testing.assert_allclose(points[0], [1, 0], atol=1e-6)
    np.testing.assert_allclose(points[3], [0, 3], atol=1e-6)
    for i, length in enumerate((1, 5 / 3, 7 / 3, 3)):
        expected = length * np.array([np.cos(np.pi * i / 6), np.sin(np.pi * i / 6)])
        np.testing.assert_allclose(points[i], expected, atol=1e-6)


def test_spherical_way_between_vectors_of_one_length_is_the_textbooks():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 100))
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    omega = np.arccos(a @ b)
    shares = np.linspace(0, 1, 7)[:, None]
    slerp = (np.sin((1 - shares) * omega) * a + np.sin(shares * omega) * b) / np.sin(omega)
    np.testing.assert_allclose(interpolation.slerp(a, b, shares[:, 0]), slerp, atol=1e-6)


@pytest.mark.parametrize("factor", [1, 2.5, -1, -0.5])
def test_spherical_way_of_parallel_and_opposite_vectors(factor):
    a = np.random.default_rng(0).standard_normal(10)
    points = interpolation.slerp(a, factor * a, np.linspace(0, 1, 5))
    np.testing.assert_allclose(points[0], a, rtol=1e-5)
    np.testing.assert_allclose(points[-1], factor * a, rtol=1e-4, atol=1e-5)
    between = [angle(p, q) for p, q in itertools.pairwise(points)]
    np.testing.assert_allclose(between, 45 if factor < 0 else 0, atol=0.1)
    assert np.linalg.norm(points, axis=1).min() > 0.4 * np.linalg.norm(a)


def test_tour_passes_every_point_and_closes():
    noises = np.random.default_rng(0).standard_normal((3, 8)).astype(np.float32)
    strip = interpolation.interpolate_through(noises, 4, "normal", closed=False)
    assert len(strip) == 2 * 4 + 1
    np.testing.assert_allclose(strip[[0, 4, 8]], noises, rtol=1e-5)
    loop = interpolation.interpolate_through(noises, 4, "normal", closed=True)
    assert len(loop) == 3 * 4
    np.testing.assert_allclose(loop[:9], strip, rtol=1e-5)
    cube = interpolation.interpolate_through(np.sign(noises), 4, "uniform", closed=True)
    assert np.abs(cube).max() <= 1


def test_sums():
    assert interpolation.parse_sum("12+40-7") == [(1, [12]), (1, [40]), (-1, [7])]
    assert interpolation.parse_sum(" -(1, 4,9) - ( 2 ) + 5") == [
        (-1, [1, 4, 9]),
        (-1, [2]),
        (1, [5]),
    ]
    for text in ("", "1+", "a+b", "1 2", "(1,2", "()", "1--2", "1+2)", "1*2", "9999999999", "1.5"):
        with pytest.raises(UserError):
            interpolation.parse_sum(text)
    with pytest.raises(UserError):
        interpolation.parse_sum("+1" * 101)


def test_truncated_noise_keeps_each_images_values_that_are_within():
    whole = seeded_noise("normal", 3, range(40), 100)
    within = seeded_noise("normal", 3, range(40), 100, limit=0.7)
    assert np.abs(within).max() <= 0.7 < np.abs(whole).max()
    kept = np.abs(whole) <= 0.7
    assert np.array_equal(within[kept], whole[kept])
    # A normal value cut at ±0.7 has a standard deviation of 0.387.
    assert within.std() == pytest.approx(0.387, abs=0.01)
    assert np.array_equal(seeded_noise("normal", 3, [7], 100, limit=0.7)[0], within[7])
    uniform = seeded_noise("uniform", 3, range(4), 100)
    assert np.array_equal(seeded_noise("uniform", 3, range(4), 100, limit=0.5), uniform / 2)
    assert np.array_equal(seeded_noise("uniform", 3, range(4), 100, limit=5.0), uniform)


def test_projection_finds_the_noise_of_a_linear_generator():
    rng = np.random.default_rng(0)
    stack = [keras.layers.Input((3,)), keras.layers.Dense(16), keras.layers.Reshape((4, 4, 1))]
    generator = keras.Sequential(stack)
    noise = np.array([[0.5, -0.3, 0.8]], np.float32)
    image = generator(noise).numpy()[0]
    starts = rng.uniform(-1, 1, (4, 3)).astype(np.float32)
    found, error = interpolation.project(generator, image, starts, "uniform")
    np.testing.assert_allclose(found, noise[0], atol=0.02)
    assert error < 1e-3
    far = generator(np.array([[4.0, 0, 0]], np.float32)).numpy()[0]
    found, _ = interpolation.project(generator, far, starts, "uniform")
    assert np.abs(found).max() <= 1


def test_strip_begins_and_ends_with_its_images(run_main, finished_run, tmp_path):
    out = draw(run_main, finished_run, tmp_path / "s.png", "--interpolate=3,5", "--frames=4")
    assert "5 images, along great circles, from step 12" in out
    draw(run_main, finished_run, tmp_path / "all.npz", "--num_images=6")
    with np.load(tmp_path / "all.npz") as archive:
        images = archive["images"].astype(int)[..., 0]
    strip = iio.imread(tmp_path / "s.png").astype(int)
    tile = 28 * 3 + 2
    for image, row, column in ((images[3], 0, 0), (images[5], 1, 0)):
        top, left = row * tile + 2, column * tile + 2
        shown = strip[top : top + 84 : 3, left : left + 84 : 3]
        assert np.abs(shown - image).max() <= 1


def test_films_are_closed_and_uniform_or_linear_ways_straight(run_main, finished_run, tmp_path):
    out = draw(run_main, finished_run, tmp_path / "w.gif", "--walk=3", "--frames=2", "--linear")
    assert "6 images, straight," in out
    assert len(iio.imread(tmp_path / "w.gif", index=None)) == 6


def test_equation_nearest_and_projection_are_drawn(run_main, finished_run, tmp_path):
    out = draw(run_main, finished_run, tmp_path / "e.png", "--arithmetic=(1,4)-2+5")
    assert "sum of 3 terms" in out
    assert iio.imread(tmp_path / "e.png").shape[:2] == (420, 720)
    out = draw(run_main, finished_run, tmp_path / "n.png", "--nearest", "--num_images=5")
    assert "5 images below their nearest" in out
    assert iio.imread(tmp_path / "n.png").shape == (2 * 86 + 2, 5 * 86 + 2)
    draw(run_main, finished_run, tmp_path / "digit", "--num_images=1", "--seed=9")
    digit = tmp_path / "digit" / "000000.png"
    out = draw(run_main, finished_run, tmp_path / "p.png", f"--project={digit}")
    assert float(out.split("(")[1].split()[0]) < 30


@pytest.mark.parametrize(
    "flags, told",
    [
        (["--walk=3", "--nearest"], "--walk and --nearest can't be drawn at once"),
        (["--walk=1"], "--walk must be a whole number from 2"),
        (["--interpolate=3"], "--interpolate must name 2 to 100 images, not 1"),
        (["--interpolate=3,x"], "--interpolate must be numbers of images"),
        (["--arithmetic=1+"], "--arithmetic must be a sum such as"),
        (["--project=absent.png"], "--project absent.png can't be used"),
        (["--truncate=0"], "--truncate must be a number above 0"),
    ],
)
def test_mistakes(run_main, finished_run, tmp_path, flags, told):
    output = tmp_path / "x.png"
    code, _, err = run_main(sample, f"--run_dir={finished_run}", f"--output={output}", *flags)
    assert code == 1 and told in err and one_sentence(err)
    assert not output.exists()


def test_views_are_pictures(run_main, finished_run, tmp_path):
    code, _, err = run_main(
        sample, f"--run_dir={finished_run}", f"--output={tmp_path / 'x.npz'}", "--walk=2"
    )
    assert code == 1 and "--walk draws a .png or .gif, and --output is" in err
