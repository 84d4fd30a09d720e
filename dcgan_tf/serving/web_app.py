"""The web page of a run, and the HTTP API behind it."""

from __future__ import annotations

import base64
import contextlib
import functools
import re
import threading
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import NoReturn

import flask
import imageio.v3 as iio
import numpy as np
from werkzeug.exceptions import HTTPException

from dcgan_tf.conditional.labels import Classes
from dcgan_tf.latent.interpolation import interpolate
from dcgan_tf.reporting.images import as_picture
from dcgan_tf.run.checkpoints import Checkpoints
from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.sampling.noise import seeded_noise
from dcgan_tf.sampling.sampler import (
    Sampler,
    checkpoint_names,
    compile_generator,
    file_identity,
    load_generator,
)
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError

PAGE = Path(__file__).parent / "page.html"
MAX_BODY = 1 << 16
MAX_HEADER = 1 << 16
MAX_COUNT = 64
MAX_SEED = 2**31 - 1
MAX_INDEX = 10**9
MAX_EPOCH = 10**6
MAX_ZOOM = 16
TRACED_COUNTS = (1, 16, 9)
PLOTS = {"losses": "losses_plot", "evaluations": "evaluations_plot"}


class GeneratorCache:
    """A thread-safe cache of the generators of a run's checkpoints, loaded on first use.

    A generator is reloaded if its files change, because a run may be deleted and retrained under
    the same name.

    Args:
        run: the run.

    Raises:
        UserError: this is not a run, or it has no intact checkpoint.
    """

    def __init__(self, run: RunDirectory) -> None:
        run.read_config()  # raises if this is not a run
        self.run = run
        self._lock = threading.Lock()
        self._cached = functools.lru_cache(maxsize=4)(self._load)
        self._intact: set[Hashable] = set()  # damaged ones may be rewritten
        self.newest()

    @property
    def config(self) -> Config:
        """The run's settings; raises the errors of `RunDirectory.read_config`."""
        return self.run.read_config()[0]

    @property
    def classes(self) -> Classes:
        """The run's classes; raises the errors of `RunDirectory.read_config`."""
        return self.run.read_classes()

    def checkpoints(self) -> list[str]:
        """The names of the intact checkpoints, oldest first.

        Raises:
            UserError: there are none.
        """
        names = checkpoint_names(self.run)
        while True:
            with self._lock:
                intact = [*filter(self._is_intact, names)]
            before, names = names, checkpoint_names(self.run)
            if intact:
                return intact
            if names == before:  # otherwise, training has replaced them with newer ones
                raise UserError(f"{self.run.checkpoints} has no intact checkpoint")

    def _is_intact(self, checkpoint: str) -> bool:
        key = self._key(checkpoint)
        if key not in self._intact:
            try:
                load_generator(self.run, checkpoint)
            except UserError:
                return False
            self._intact.add(key)
        return True

    def _key(self, checkpoint: str) -> Hashable:
        """Identifies the generator of a checkpoint."""
        config, images = self.run.read_config()
        fixed = [getattr(config, name) for name in Config.fixed()]
        return checkpoint, repr((fixed, images)), file_identity(self.run, checkpoint)

    def sampler(self, checkpoint: str) -> Sampler:
        """A checkpoint's generator as a function."""
        with self._lock:
            return self._cached(checkpoint, self._key(checkpoint))

    def newest(self) -> Sampler:
        """The newest intact generator. Training may delete checkpoints in the meantime.

        Raises:
            UserError: there is none.
        """
        names = checkpoint_names(self.run)
        while True:
            for name in reversed(names):
                with contextlib.suppress(UserError):
                    return self.sampler(name)
            before, names = names, checkpoint_names(self.run)
            if names == before:
                raise UserError(f"{self.run.checkpoints} has no intact checkpoint")

    def _load(self, checkpoint: str, _: Hashable) -> Sampler:
        generator, _, _ = load_generator(self.run, checkpoint)
        sampler = compile_generator(generator)
        for count in TRACED_COUNTS:
            sampler(np.zeros((count, *generator.input_shape[1:]), np.float32))
        return sampler


def make_app(run: RunDirectory) -> flask.Flask:
    """The web page and its API.

    Raises:
        UserError: this is not a run, or it has no intact checkpoint.
    """
    cache = GeneratorCache(run)
    app = flask.Flask("dcgan_tf", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY

    @app.errorhandler(HTTPException)
    def refuse(error: HTTPException) -> tuple[flask.Response, int]:
        return flask.jsonify(error=error.description), error.code or 500

    @app.errorhandler(UserError)
    def explain(error: UserError) -> tuple[flask.Response, int]:
        return flask.jsonify(error=str(error)), 400

    @app.get("/")
    def page() -> flask.Response:
        return flask.Response(PAGE.read_bytes(), mimetype="text/html")

    @app.get("/api/run")
    def describe() -> flask.Response:
        """The choices for the other requests, and the time of the run's last output."""
        check_names()
        config, described = run.read_config()
        checkpoints = cache.checkpoints()
        best = best_step()
        return flask.jsonify(
            name=run.path.resolve().name,
            noise=config.noise,
            shape=described["shape"],
            classes=list(cache.classes.names),
            checkpoints=checkpoints,
            best=best if best in checkpoints else None,
            epochs=[*run.frames()],
            plots=[name for name, attribute in PLOTS.items() if getattr(run, attribute).exists()],
            changed=last_change(run),
        )

    @app.get("/api/images")
    def images() -> flask.Response:
        """Generated images, as data URLs of PNGs."""
        check_names("seed", "first", "count", "label", "checkpoint")
        first, count = integer("first", 0, MAX_INDEX), integer("count", 16, MAX_COUNT, 1)
        indices = range(first, first + count)
        pngs = [
            base64.b64encode(png(image)).decode() for image in generate(noise_of(indices, "label"))
        ]
        return flask.jsonify(
            [{"number": n, "png": f"data:image/png;base64,{p}"} for n, p in zip(indices, pngs)]
        )

    @app.get("/api/image.png")
    def image() -> flask.Response:
        """One generated image."""
        check_names("seed", "number", "label", "checkpoint", "zoom")
        return as_png(generate(noise_of([integer("number", 0, MAX_INDEX)], "label")))

    @app.get("/api/interpolation.png")
    def interpolation() -> flask.Response:
        """The image at a fraction of the path from one image to another."""
        labels = ("from_label", "to_label")
        check_names("seed", "from", "to", *labels, "fraction", "checkpoint", "zoom")
        indices = (integer("from", 0, MAX_INDEX), integer("to", 1, MAX_INDEX))
        start, end = (noise_of([index], label)[0] for index, label in zip(indices, labels))
        config = cache.config
        return as_png(
            generate(interpolate(start, end, [fraction()], config.noise, config.noise_dim))
        )

    @app.get("/api/arithmetic.png")
    def arithmetic() -> flask.Response:
        """The image of a − b + c."""
        labels = ("a_label", "b_label", "c_label")
        check_names("seed", "a", "b", "c", *labels, "checkpoint", "zoom")
        a, b, c = (noise_of([integer(label[0], 0, MAX_INDEX)], label) for label in labels)
        return as_png(generate(a - b + c))

    @app.get("/api/frame.png")
    def frame() -> flask.Response:
        """The grid after an epoch; epoch 0 is before training."""
        check_names("epoch")
        epoch = integer("epoch", 0, MAX_EPOCH)
        return as_file(run.frame(epoch), f"epoch {epoch}")

    @app.get("/api/plot.png")
    def plot() -> flask.Response:
        """One of the run's plots."""
        check_names("name")
        name = flask.request.args.get("name", "losses")
        if name not in PLOTS:
            bad(f"name must be one of {', '.join(PLOTS)}")
        return as_file(getattr(run, PLOTS[name]), f"plot {name}")

    def best_step() -> str | None:
        """The best checkpoint's name; None if no checkpoint was evaluated."""
        with contextlib.suppress(UserError):
            return str(Checkpoints(run.checkpoints).step_of("best"))
        return None

    def noise_of(indices: Sequence[int], label: str) -> np.ndarray:
        """The noise of images, of the class in the parameter named `label`, if given."""
        seed, classes = integer("seed", 0, MAX_SEED), cache.classes
        name = flask.request.args.get(label)
        if name is None:
            return seeded_noise(cache.config, seed, indices, classes=classes)
        class_index = classes.find(name)
        if class_index is None:
            bad(
                f"{label} must be one of {', '.join(classes.names)}"
                if classes.names
                else f"{label} must be left out: the run has no classes"
            )
        return seeded_noise(cache.config, seed, indices, classes=classes, label=class_index)

    def generate(noise: np.ndarray) -> np.ndarray:
        chosen = flask.request.args.get("checkpoint")
        if chosen is None:
            return cache.newest()(noise)
        if chosen == "best":
            chosen = str(Checkpoints(run.checkpoints).step_of("best"))
        names = cache.checkpoints()  # training may have deleted others
        if chosen not in names:
            bad(f"checkpoint must be one of {', '.join(names)} or best")
        return cache.sampler(chosen)(noise)

    return app


def last_change(run: RunDirectory) -> float:
    """The time when a plot, table or grid was last written, in seconds since 1970.

    Files are written elsewhere and moved into place, which updates the folder's time.
    """
    times = [0.0]
    for folder in (run.path, run.samples):
        with contextlib.suppress(FileNotFoundError):  # a pretrained generator has no grids
            times.append(folder.stat().st_mtime)
    return max(times)


def check_names(*known: str) -> None:
    """Rejects unknown and repeated parameters."""
    for name, values in flask.request.args.lists():
        if name not in known:
            bad(
                f"unknown parameter {name[:40]!r}; the parameters are: {', '.join(known) or 'none'}"
            )
        if len(values) > 1:
            bad(f"{name} is given {len(values)} times")


def integer(name: str, default: int, high: int, low: int = 0) -> int:
    """An integer parameter of the request."""
    text = flask.request.args.get(name, str(default))
    if not re.fullmatch(r"[0-9]{1,10}", text, re.ASCII) or not low <= int(text) <= high:
        bad(f"{name} must be a whole number from {low} to {high}")
    return int(text)


def fraction() -> float:
    """The parameter `fraction` of the request."""
    text = flask.request.args.get("fraction", "0.5")
    if not re.fullmatch(r"[0-9](\.[0-9]{1,10})?", text, re.ASCII) or float(text) > 1:
        bad("fraction must be a number from 0 to 1, such as 0.5")
    return float(text)


def bad(sentence: str) -> NoReturn:
    flask.abort(400, sentence)


def png(image: np.ndarray, zoom: int = 1) -> bytes:
    """Encodes an image, uint8 [H, W, C], as a PNG, enlarged without smoothing."""
    return iio.imwrite("<bytes>", as_picture(image, zoom), extension=".png")


def as_png(images: np.ndarray) -> flask.Response:
    """A response with a single image, given as uint8 [1, H, W, C]."""
    return flask.Response(png(images[0], integer("zoom", 1, MAX_ZOOM, 1)), mimetype="image/png")


def as_file(path: Path, what: str) -> flask.Response:
    """A response with a PNG file of the run."""
    try:
        return flask.Response(path.read_bytes(), mimetype="image/png")
    except OSError:
        bad(f"there is no {what}")
