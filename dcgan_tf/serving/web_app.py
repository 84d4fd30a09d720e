"""The web page of a run, and the addresses behind it."""

from __future__ import annotations

import base64
import functools
import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import flask
import imageio.v3 as iio
import numpy as np
from werkzeug.exceptions import HTTPException

from dcgan_tf.checkpoints import Checkpoints
from dcgan_tf.cli.errors import UserError
from dcgan_tf.latent.interpolation import interpolate_through
from dcgan_tf.noise import seeded_noise
from dcgan_tf.reporting.images import image_grid
from dcgan_tf.run_directory import RunDirectory
from dcgan_tf.sampling import checkpoint_names, compile_generator, load_generator

PAGE = Path(__file__).parent / "page.html"
MAX_BODY = 1 << 16
MAX_HEADER = 1 << 16
MAX_COUNT = 64
MAX_SEED = 2**31 - 1
MAX_NUMBER = 10**9
MAX_ZOOM = 16
WARM_UP_COUNTS = (1, 16, 9)
PLOTS = {"losses": "losses_plot", "evaluations": "evaluations_plot"}

Draw = Callable[[np.ndarray], np.ndarray]  # noise [N, noise_dim] to uint8 [N, H, W, C]


class Painter:
    """Draws images by the checkpoints of a run, in any number of threads.

    Args:
        run: the run.

    Raises:
        UserError: this is no run, or it has no checkpoint.
    """

    def __init__(self, run: RunDirectory) -> None:
        self.run = run
        self.config, self.images = run.read_config()
        self.lock = threading.Lock()
        self.loaded = functools.lru_cache(maxsize=4)(self.load)
        self.function_of(checkpoint_names(run)[-1])

    def load(self, checkpoint: str) -> Draw:
        """Loads a checkpoint's generator and has it traced."""
        generator, _, _ = load_generator(self.run, checkpoint)
        draw = compile_generator(generator)
        for count in WARM_UP_COUNTS:
            draw(np.zeros((count, self.config.noise_dim), np.float32))
        return draw

    def function_of(self, checkpoint: str) -> Draw:
        """What turns noise into images as one checkpoint does; loaded by one thread at a time."""
        with self.lock:
            return self.loaded(checkpoint)

    def noise(self, seed: int, numbers: Sequence[int]) -> np.ndarray:
        """The noise of some images of a seed, float32 [N, noise_dim]."""
        return seeded_noise(self.config.noise, seed, numbers, self.config.noise_dim)


def make_app(run: RunDirectory) -> flask.Flask:
    """The page and its addresses.

    Raises:
        UserError: this is no run, or it has no checkpoint.
    """
    painter = Painter(run)
    app = flask.Flask("dcgan_tf", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY

    @app.errorhandler(HTTPException)
    def refuse(error: HTTPException) -> tuple[flask.Response, int]:
        return flask.jsonify(error=error.description), error.code

    @app.errorhandler(UserError)
    def explain(error: UserError) -> tuple[flask.Response, int]:
        return flask.jsonify(error=str(error)), 400

    @app.get("/")
    def page() -> flask.Response:
        return flask.Response(PAGE.read_text(), mimetype="text/html")

    @app.get("/api/run")
    def describe() -> flask.Response:
        """What there is to choose from."""
        check_names()
        epochs = [int(path.stem.split("_")[1]) for path in run.frames()[1:]]
        return flask.jsonify(
            name=run.path.resolve().name,
            noise=painter.config.noise,
            checkpoints=checkpoint_names(run),
            epochs=[0, *epochs],
            plots=[name for name, attribute in PLOTS.items() if getattr(run, attribute).exists()],
        )

    @app.get("/api/images")
    def images() -> flask.Response:
        """New images, as data URLs of PNGs."""
        check_names("seed", "first", "count", "checkpoint")
        first, count = number("first", 0, MAX_NUMBER), number("count", 16, MAX_COUNT, 1)
        numbers = range(first, first + count)
        pictures = draw()(painter.noise(number("seed", 0, MAX_SEED), numbers))
        return flask.jsonify(
            [
                {"number": n, "png": "data:image/png;base64," + base64.b64encode(png(p)).decode()}
                for n, p in zip(numbers, pictures)
            ]
        )

    @app.get("/api/image.png")
    def image() -> flask.Response:
        """One image."""
        check_names("seed", "number", "checkpoint", "zoom")
        numbers = [number("number", 0, MAX_NUMBER)]
        return as_png(draw()(painter.noise(number("seed", 0, MAX_SEED), numbers))[0])

    @app.get("/api/between.png")
    def between() -> flask.Response:
        """The image on the way from one to another, `share` thousandths from the first."""
        check_names("seed", "from", "to", "share", "checkpoint", "zoom")
        ends = [number("from", 0, MAX_NUMBER), number("to", 1, MAX_NUMBER)]
        noises = painter.noise(number("seed", 0, MAX_SEED), ends)
        share = number("share", 500, 1000)
        way = interpolate_through(noises, 1000, painter.config.noise, closed=False)
        return as_png(draw()(way[[share]])[0])

    @app.get("/api/sum.png")
    def sum_of_three() -> flask.Response:
        """The image of a − b + c."""
        check_names("seed", "a", "b", "c", "checkpoint", "zoom")
        terms = [number(name, 0, MAX_NUMBER) for name in ("a", "b", "c")]
        a, b, c = painter.noise(number("seed", 0, MAX_SEED), terms)
        return as_png(draw()((a - b + c)[np.newaxis])[0])

    @app.get("/api/frame.png")
    def frame() -> flask.Response:
        """The grid after an epoch; 0 is before training."""
        check_names("epoch")
        epoch = number("epoch", 0, 10**6)
        return as_file(run.frame(epoch) if epoch else run.samples / "init.png", f"epoch {epoch}")

    @app.get("/api/plot.png")
    def plot() -> flask.Response:
        """One of the run's plots."""
        check_names("name")
        name = flask.request.args.get("name", "losses")
        if name not in PLOTS:
            bad(f"name must be one of {', '.join(PLOTS)}")
        return as_file(getattr(run, PLOTS[name]), f"plot {name}")

    def draw() -> Draw:
        names = checkpoint_names(run)
        chosen = flask.request.args.get("checkpoint", names[-1])
        if chosen == "best":
            chosen = str(Checkpoints(run.checkpoints).step_of("best"))
        if chosen not in names:
            bad(f"checkpoint must be one of {', '.join(names)} or best")
        return painter.function_of(chosen)

    return app


def check_names(*known: str) -> None:
    """Refuses parameters that the address does not have, or has twice."""
    for name, values in flask.request.args.lists():
        if name not in known:
            bad(f"there is no parameter {name[:40]!r}; there are: {', '.join(known) or 'none'}")
        if len(values) > 1:
            bad(f"{name} is given {len(values)} times")


def number(name: str, default: int, most: int, least: int = 0) -> int:
    """A whole number among the request's parameters."""
    text = flask.request.args.get(name, str(default))
    if not re.fullmatch(r"[0-9]{1,10}", text, re.ASCII) or not least <= int(text) <= most:
        bad(f"{name} must be a whole number from {least} to {most}")
    return int(text)


def bad(sentence: str) -> NoReturn:
    flask.abort(400, sentence)


def png(image: np.ndarray, zoom: int = 1) -> bytes:
    """An image, uint8 [H, W, C], as a PNG, enlarged without smoothing."""
    return iio.imwrite("<bytes>", image_grid(image[np.newaxis], 0, zoom), extension=".png")


def as_png(image: np.ndarray) -> flask.Response:
    return flask.Response(png(image, number("zoom", 1, MAX_ZOOM, 1)), mimetype="image/png")


def as_file(path: Path, what: str) -> flask.Response:
    try:
        return flask.Response(path.read_bytes(), mimetype="image/png")
    except OSError:
        bad(f"there is no {what}")
