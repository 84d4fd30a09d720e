"""Memory does not grow with the folder: 100,000 images against 10,000, each in its own process."""

import os
import sys

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT, finish

PEAK = """
import atexit, resource, runpy, sys
atexit.register(lambda: print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.long
def test_a_folder_of_100000_images_takes_the_memory_of_10000(tmp_path, mnist):
    """Copies of 1,000 colored digits, 64×64; the peak of decoding and of 50 training steps."""
    peaks = {}
    for count in (10_000, 100_000):
        source = tmp_path / str(count)
        source.mkdir()
        for i in range(1000):
            digits = np.stack([mnist[i], mnist[i + 1000], mnist[i + 2000]], axis=-1)
            Image.fromarray(digits).resize((64, 64)).save(source / f"{i:06d}.png")
        for i in range(1000, count):
            os.link(source / f"{i % 1000:06d}.png", source / f"{i:06d}.png")
        command = [
            *(sys.executable, "-c", PEAK, str(ROOT / "train.py")),
            *(f"--data_dir={source}", f"--run_dir={tmp_path / f'run{count}'}"),
            *("--preset=paper", "--dataset=folder", f"--cache_dir={tmp_path / 'cache'}"),
            *("--base_filters=8", "--batch_size=32", "--max_steps=50", "--held_out=0"),
        ]
        code, out, err = finish(command, timeout=1800)
        assert code == 0, err
        assert f"{count:,} images of 64×64×3" in out
        peaks[count] = int(out.split("peak ")[1])
    assert peaks[100_000] == pytest.approx(peaks[10_000], rel=0.1)
