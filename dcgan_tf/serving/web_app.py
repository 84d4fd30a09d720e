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
MAX_NUMBER = 10**9
MAX_EPOCH = 10**6
MAX_ZOOM = 16
TRACED_COUNTS = (1, 16, 9)
PLOTS = {"losses": "losses_plot", "evaluations": "evaluations_plot"}


class GeneratorCache:
    """The generators of a run's checkpoints, loaded when they are first asked for.

    They may be asked for by any number of threads. What was loaded is kept as long as its files
    are the same: the run may be deleted, and trained anew under its name.

    Args:
        run: the run.

    Raises:
        UserError: this is no run, or it has no intact checkpoint.
    """

    def __init__(self, run: RunDirectory) -> None:
        run.read_config()  # refuses what is no run
        self.run = run
        self._lock = threading.Lock()
        self._cached = functools.lru_cache(maxsize=4)(self._load)
        self._intact: set[Hashable] = set()  # a damaged one may be written again
        self.newest()

    @property
    def config(self) -> Config:
        """The run's settings; raises as `RunDirectory.read_config`."""
        return self.run.read_config()[0]

    @property
    def classes(self) -> Classes:
        """The classes that the run learns; raises as `RunDirectory.read_config`."""
        return self.run.read_classes()

    def checkpoints(self) -> list[str]:
        """The names of the checkpoints that are intact, oldest first.

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
            if names == before:  # if not, a training has deleted them for newer ones
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
        """What the generator of a checkpoint is made of."""
        config, images = self.run.read_config()
        fixed = [getattr(config, name) for name in Config.fixed()]
        return checkpoint, repr((fixed, images)), file_identity(self.run, checkpoint)

    def sampler(self, checkpoint: str) -> Sampler:
        """A checkpoint's generator as a function; loaded by one thread at a time."""
        with self._lock:
            return self._cached(checkpoint, self._key(checkpoint))

    def newest(self) -> Sampler:
        """The newest generator that is intact; a training may delete others meanwhile.

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
    """The page and its API.

    Raises:
        UserError: this is no run, or it has no intact checkpoint.
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
        """What there is to choose from, and when the run last wrote something to show."""
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
        first, count = integer("first", 0, MAX_NUMBER), integer("count", 16, MAX_COUNT, 1)
        numbers = range(first, first + count)
        pngs = [
            base64.b64encode(png(image)).decode() for image in generate(noise_of(numbers, "label"))
        ]
        return flask.jsonify(
            [{"number": n, "png": f"data:image/png;base64,{p}"} for n, p in zip(numbers, pngs)]
        )

    @app.get("/api/image.png")
    def image() -> flask.Response:
        """One generated image."""
        check_names("seed", "number", "label", "checkpoint", "zoom")
        return as_png(generate(noise_of([integer("number", 0, MAX_NUMBER)], "label")))

    @app.get("/api/interpolation.png")
    def interpolation() -> flask.Response:
        """The image at a fraction of the path from one image to another."""
        labels = ("from_label", "to_label")
        check_names("seed", "from", "to", *labels, "fraction", "checkpoint", "zoom")
        numbers = (integer("from", 0, MAX_NUMBER), integer("to", 1, MAX_NUMBER))
        start, end = (noise_of([number], label)[0] for number, label in zip(numbers, labels))
        config = cache.config
        return as_png(
            generate(interpolate(start, end, [fraction()], config.noise, config.noise_dim))
        )

    @app.get("/api/arithmetic.png")
    def arithmetic() -> flask.Response:
        """The image of a − b + c."""
        labels = ("a_label", "b_label", "c_label")
        check_names("seed", "a", "b", "c", *labels, "checkpoint", "zoom")
        a, b, c = (noise_of([integer(label[0], 0, MAX_NUMBER)], label) for label in labels)
        return as_png(generate(a - b + c))

    @app.get("/api/frame.png")
    def frame() -> flask.Response:
        """The grid after an epoch; 0 is before training."""
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
        """The best checkpoint's name; None where none was evaluated."""
        with contextlib.suppress(UserError):
            return str(Checkpoints(run.checkpoints).step_of("best"))
        return None

    def noise_of(numbers: Sequence[int], label: str) -> np.ndarray:
        """The noise of images, whose class the parameter `label` names, if it is given."""
        seed, classes = integer("seed", 0, MAX_SEED), cache.classes
        name = flask.request.args.get(label)
        if name is None:
            return seeded_noise(cache.config, seed, numbers, classes=classes)
        number = classes.find(name)
        if number is None:
            bad(
                f"{label} must be one of {', '.join(classes.names) or 'none: there are no classes'}"
            )
        return seeded_noise(cache.config, seed, numbers, classes=classes, label=number)

    def generate(noise: np.ndarray) -> np.ndarray:
        chosen = flask.request.args.get("checkpoint")
        if chosen is None:
            return cache.newest()(noise)
        if chosen == "best":
            chosen = str(Checkpoints(run.checkpoints).step_of("best"))
        names = cache.checkpoints()  # a training may have deleted others meanwhile
        if chosen not in names:
            bad(f"checkpoint must be one of {', '.join(names)} or best")
        return cache.sampler(chosen)(noise)

    return app


def last_change(run: RunDirectory) -> float:
    """When a plot, a table or a grid was last written, in seconds since 1970.

    Files are written beside their places and moved there, which changes the time of their folder.
    """
    times = [0.0]
    for folder in (run.path, run.samples):
        with contextlib.suppress(FileNotFoundError):  # a generator alone has no grids
            times.append(folder.stat().st_mtime)
    return max(times)


def check_names(*known: str) -> None:
    """Refuses parameters that the address does not have, or has twice."""
    for name, values in flask.request.args.lists():
        if name not in known:
            bad(f"there is no parameter {name[:40]!r}; there are: {', '.join(known) or 'none'}")
        if len(values) > 1:
            bad(f"{name} is given {len(values)} times")


def integer(name: str, default: int, most: int, least: int = 0) -> int:
    """A whole number among the request's parameters."""
    text = flask.request.args.get(name, str(default))
    if not re.fullmatch(r"[0-9]{1,10}", text, re.ASCII) or not least <= int(text) <= most:
        bad(f"{name} must be a whole number from {least} to {most}")
    return int(text)


def fraction() -> float:
    """The request's parameter `fraction`."""
    text = flask.request.args.get("fraction", "0.5")
    if not re.fullmatch(r"[0-9](\.[0-9]{1,10})?", text, re.ASCII) or float(text) > 1:
        bad("fraction must be a number from 0 to 1, as 0.5")
    return float(text)


def bad(sentence: str) -> NoReturn:
    flask.abort(400, sentence)


def png(image: np.ndarray, zoom: int = 1) -> bytes:
    """An image, uint8 [H, W, C], as a PNG, enlarged without smoothing."""
    return iio.imwrite("<bytes>", as_picture(image, zoom), extension=".png")


def as_png(images: np.ndarray) -> flask.Response:
    """The only one of some images, uint8 [1, H, W, C], as an answer."""
    return flask.Response(png(images[0], integer("zoom", 1, MAX_ZOOM, 1)), mimetype="image/png")


def as_file(path: Path, what: str) -> flask.Response:
    """A PNG of the run as an answer."""
    try:
        return flask.Response(path.read_bytes(), mimetype="image/png")
    except OSError:
        bad(f"there is no {what}")
