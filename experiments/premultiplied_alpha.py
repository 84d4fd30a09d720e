"""Compares straight and premultiplied colors: which give cleaner edges under a smooth model?

    python -m experiments.premultiplied_alpha --data_dir DIR

In place of a generator, the principal components of transparent images reconstruct the held-out
tenth. The reconstructions and the real images are composited on four backgrounds, and compared
within a pixel of the edges of the alpha. Straight colors are tried with three colors of transparent
pixels: as in the files, black and white.
"""

import argparse
from collections.abc import Iterator

import numpy as np
from scipy.ndimage import binary_dilation, binary_erosion

from dcgan_tf.commands import program
from dcgan_tf.data import scale, to_uint8
from dcgan_tf.datasets.loading import load_split
from dcgan_tf.datasets.transparency import composite
from dcgan_tf.settings.config import Config

COMPONENTS = (20, 50, 100, 200)
BACKGROUNDS = np.array([[0, 0, 0], [255, 255, 255], [255, 0, 255], [51, 153, 51]])
EDGE = np.ones((1, 3, 3), bool)


def main() -> None:
    """Prints the root mean square error at edges for each form of colors, in [0, 255]."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data_dir", required=True)
    parser.add_argument("--image_size", default="56")
    flags = parser.parse_args()

    config = Config(
        dataset="folder", data_dir=flags.data_dir, image_size=flags.image_size, channels=4
    )
    train, test = (load_split(config, split)[:] for split in ("train", "test"))
    visible = test[..., 3] > 127
    edges = binary_dilation(visible, EDGE) & ~binary_erosion(visible, EDGE, border_value=1)
    print(f"{len(train):,} images, {len(test):,} held out, {edges.mean():.1%} of pixels at edges")
    for count in COMPONENTS:
        for name, learned, given in forms(train, test):
            drawn = project(learned, given, count)
            images = to_uint8(drawn) if name == "multiplied" else np.rint(drawn).astype(np.uint8)
            errors = [
                np.subtract(composite(images, ground), composite(test, ground), dtype=float)[edges]
                for ground in BACKGROUNDS
            ]
            error = np.sqrt(np.mean(np.square(errors)))
            print(f"{count:>4} components  {name:<26} {error:6.1f}", flush=True)


def forms(train: np.ndarray, test: np.ndarray) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """The name of each form of colors, and both sets in this form, float32 [N, H, W, 4]."""
    for name, behind in (("as in the files", None), ("black", 0), ("white", 255)):
        pair = []
        for images in (train, test):
            filled = images.astype(np.float32)
            if behind is not None:
                filled[..., :3][images[..., 3] == 0] = behind
            pair.append(filled)
        yield f"straight, {name} behind", pair[0], pair[1]
    yield "multiplied", scale(train).numpy(), scale(test).numpy()


def project(train: np.ndarray, test: np.ndarray, count: int) -> np.ndarray:
    """Reconstructs `test` from the first `count` principal components of `train`."""
    learned, given = (images.reshape(len(images), -1) for images in (train, test))
    mean = learned.mean(axis=0)
    _, vectors = np.linalg.eigh((learned - mean) @ (learned - mean).T)
    components, _ = np.linalg.qr((learned - mean).T @ vectors[:, -count:])
    drawn = (given - mean) @ components @ components.T + mean
    return drawn.clip(train.min(), train.max()).reshape(test.shape)


if __name__ == "__main__":
    program.run(main)
