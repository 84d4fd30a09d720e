"""The comparison on small sets: its figures, and its table with fake trainings."""

import importlib.util
import subprocess
import sys

import imageio.v3 as iio
import numpy as np
import pytest

from experiments import small_sets
from tests.conftest import ENVIRONMENT, ROOT


def faces(count, seed=0):
    """Images of large random patches."""
    patches = np.random.default_rng(seed).integers(40, 200, (count, 8, 8, 3), np.uint8)
    return patches.repeat(8, axis=1).repeat(8, axis=2)


def test_figures():
    real = faces(400)
    assert small_sets.compare(real, real) == pytest.approx((1, 0, 0), abs=1e-3)
    # Moved by 51 of 255 everywhere, only the means differ: by 0.2 in each of 192 numbers.
    spread, pixels, edges = small_sets.compare(real, real + np.uint8(51))
    assert (spread, pixels) == pytest.approx((1, 192 * 0.2**2), rel=1e-3) and edges > 1
    spread, pixels, _ = small_sets.compare(real, real[:1].repeat(400, axis=0))
    assert spread == 0 and pixels > small_sets.compare(real, faces(400, 1))[1]


def test_table(monkeypatch, tmp_path, capsys):
    pictures, jobs = tmp_path / "pictures", []
    pictures.mkdir()
    for number, image in enumerate(faces(200)):
        iio.imwrite(pictures / f"{number}.png", image)

    def collapsed(job):
        jobs.append((len(job.images), job.seed, job.minutes))
        return job.images[:1].repeat(50, axis=0), 1234

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(small_sets, "TRAININGS", {"small": collapsed})
    flags = [str(pictures), "--images", "100,200", "--seeds", "2", "--minutes", "0.5"]
    monkeypatch.setattr(sys, "argv", ["small_sets.py", *flags])
    for _ in range(2):  # the second time, nothing is trained
        small_sets.main()
    # A tenth of the 200 is held out, and as much of a folder of 100.
    held_out = 200 - jobs[-1][0]
    assert 10 <= held_out <= 30
    half, whole = round((200 - held_out) / 2), 200 - held_out
    assert jobs == [(half, 0, 0.5), (half, 1, 0.5), (whole, 0, 0.5), (whole, 1, 0.5)]
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines() if "1,234" in line]
    assert len(rows) == 8 and all(float(row[5]) == 0 for row in rows)
    assert len([*(tmp_path / small_sets.RUNS).glob("*.png")]) == 4
    # Other minutes, or as many others, are no reason to take what is kept.
    monkeypatch.setattr(sys, "argv", ["small_sets.py", *flags[:4], "1", "--minutes", "0.6"])
    small_sets.main()
    assert len(jobs) == 6
    for path, image in zip(pictures.iterdir(), faces(200, 1)):
        iio.imwrite(path, image)
    small_sets.main()
    assert len(jobs) == 8


@pytest.mark.skipif(not importlib.util.find_spec("torch"), reason="PyTorch is not installed")
def test_the_example_in_pytorch(tmp_path):
    np.save(tmp_path / "real.npy", faces(40))
    sizes = ["--base_filters=2", "--batch_size=20", "--minutes=0.2"]
    files = [str(tmp_path / "real.npy"), str(tmp_path / "made.npz")]
    command = [sys.executable, "-m", "benchmarks.torch_example", *files, *sizes]
    environment = ENVIRONMENT | {"OMP_NUM_THREADS": "1"}
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    with np.load(tmp_path / "made.npz") as made:
        assert made["images"].shape == (2000, 64, 64, 3) and made["step"] > 2
        assert made["images"].std(axis=0).mean() > 1
