"""Measures the time, memory and disk space to start training on a folder of many pictures.

    python -m benchmarks.many_pictures [--images 100000]

Makes JPEGs of 178×218, the size of CelebA's, and runs one step of a narrow model with `train.py
--dataset folder` on a quarter of them and on all. The first start has nothing in the page cache and
no decoded images; the second reuses the decoded images.
"""

import argparse
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.start import run_to_end
from benchmarks.timing import forget, print_setup
from dcgan_tf.commands import program

SIZE = (178, 218)
NARROW = (
    "--dataset folder --max_steps 1 --batch_size 8 --base_filters 4 --eval_every 0 "
    "--precision float32 --convolutions native"
)


def make(folder: Path, index: int) -> None:
    """Makes a picture of soft colored patches."""
    patches = np.random.default_rng(index).integers(0, 256, (9, 7, 3), np.uint8)
    picture = Image.fromarray(patches).resize(SIZE, Image.Resampling.BICUBIC)
    picture.save(folder / f"{index:07}.jpg", quality=80)


def main() -> None:
    """Makes the pictures, and prints a table of the starts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=100_000)
    images = parser.parse_args().images
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder) / "pictures"
        parts = {pictures / "quarter": range(images // 4), pictures: range(images // 4, images)}
        with ProcessPoolExecutor() as pool:
            for part, indices in parts.items():
                part.mkdir(parents=True, exist_ok=True)
                list(pool.map(partial(make, part), indices, chunksize=500))
        size = sum(path.stat().st_size for path in pictures.rglob("*.jpg"))
        print_setup()
        print(f"{images:,} pictures, {size >> 20:,} MiB\n")
        print("| pictures | start | seconds | peak MiB | MiB decoded |\n|---|---|---|---|---|")
        for part in parts:
            count = sum(1 for _ in part.rglob("*.jpg"))
            cache = Path(folder) / f"cache_{count}"
            for start in ("first", "second"):
                if start == "first":
                    for path in part.rglob("*.jpg"):
                        forget(path)
                run = f"--data_dir {part} --cache_dir {cache} --run_dir {folder}/{count}_{start}"
                command = [sys.executable, "train.py", *NARROW.split(), *run.split()]
                seconds, memory = run_to_end(command)
                decoded = sum(path.stat().st_size for path in cache.rglob("*")) >> 20
                print(f"| {count:,} | {start} | {seconds:.1f} | {memory:.0f} | {decoded:,} |")


if __name__ == "__main__":
    program.run(main)
