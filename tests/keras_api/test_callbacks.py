"""Keras's callbacks in `train`: what they are told, and how they end a run."""

import csv

import keras
import numpy as np
import pytest

import dcgan_tf
from dcgan_tf.keras_api.callbacks import WatchedReport
from dcgan_tf.run import schedule
from dcgan_tf.settings.choices import ARCHITECTURES
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from tests.small import DENSE


@pytest.fixture
def train(mnist, monkeypatch, tmp_path):
    """Trains on 150 digits, 3 steps per epoch, for 2 epochs, by default."""
    monkeypatch.setitem(ARCHITECTURES, "dense", DENSE)

    def call(name="run", *callbacks, **settings):
        settings = {"epochs": 2, "eval_every": 1} | settings
        config = Config(
            dataset="arrays",
            architecture="dense",
            batch_size=40,
            precision="float32",
            convolutions="native",
            **settings,
        )
        # A new process counts its layers from one, too.
        keras.utils.clear_session(free_memory=False)
        return dcgan_tf.train(config, tmp_path / name, images=mnist[:150], callbacks=callbacks)

    return call


def saved(run):
    """The bytes of a run's checkpoints and grids, by their names."""
    paths = [*run.path.glob("checkpoints/ckpt-*"), *run.path.glob("samples/*")]
    return {path.name: path.read_bytes() for path in paths}


class Recorder(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.events, self.logs = [], []

    def note(self, event, *arguments):
        self.events.append((event, int(self.model.gan.step), *arguments))

    def on_train_begin(self, logs=None):
        assert isinstance(self.model, dcgan_tf.DCGAN)
        self.note("train begins")

    def on_train_end(self, logs=None):
        self.note("train ends")

    def on_epoch_begin(self, epoch, logs=None):
        self.note("epoch begins", epoch)

    def on_epoch_end(self, epoch, logs=None):
        self.note("epoch ends", epoch)
        self.logs.append(logs)

    def on_train_batch_begin(self, batch, logs=None):
        self.note("step begins", batch)

    def on_train_batch_end(self, batch, logs=None):
        self.note("step ends", batch)


def test_what_callbacks_are_told(train):
    recorder = Recorder()
    run = train("run", recorder)
    epochs = []
    for epoch in range(2):
        first = 3 * epoch
        epochs.append(("epoch begins", first, epoch))
        for batch in range(3):
            epochs.append(("step begins", first + batch, batch))
            epochs.append(("step ends", first + batch + 1, batch))
        epochs.append(("epoch ends", first + 3, epoch))
    assert recorder.events == [("train begins", 0), *epochs, ("train ends", 6)]

    with (run.path / "metrics.csv").open() as file:
        rows = [*csv.DictReader(file)]
    assert {*rows[0]} == {*recorder.logs[0], "epoch"}
    for row, logs in zip(rows, recorder.logs, strict=True):
        assert "frechet_distance_by_pixels_and_edges" in logs
        for name, value in logs.items():
            if "second" not in name:
                assert float(row[name]) == pytest.approx(value, rel=1e-5)


def test_of_short_epochs_the_ends_of_those_that_are_reported_are_told(train, monkeypatch):
    monkeypatch.setattr(schedule, "SHORT_RUN", 3)  # of 15 steps: reports 6 apart, and the last
    recorder = Recorder()
    train("run", recorder, epochs=5, eval_every=0)
    ends = [event[1:] for event in recorder.events if event[0] == "epoch ends"]
    assert ends == [(6, 1), (12, 3), (15, 4)]
    for kind, shift in (("step begins", 0), ("step ends", 1)):
        calls = [event[1:] for event in recorder.events if event[0] == kind]
        assert calls == [(step + shift, step % 3) for step in range(15)]


def test_nothing_is_called_without_callbacks(train, monkeypatch):
    monkeypatch.setattr(WatchedReport, "__init__", None)
    monkeypatch.setattr(dcgan_tf.DCGAN, "__init__", None)
    assert train(eval_every=0).step == 6


class StopAt(keras.callbacks.Callback):
    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training = int(self.model.gan.step) == self.step


class StopAfterEpoch(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = True


def test_a_run_that_is_stopped_goes_on_to_the_same_bytes(train):
    whole = train("whole")  # with dropout, by default
    for callback, step in ((StopAt(2), 2), (StopAfterEpoch(), 3)):
        stopped = train("parts", callback)
        assert stopped.step == step and (stopped.path / "training.gif").exists()
        (stopped.path / "training.gif").unlink()
    resumed = train("parts", Recorder())
    assert resumed.step == 6
    theirs, ours = saved(whole), saved(resumed)
    shared = theirs.keys() & ours.keys()
    assert {"ckpt-6.index", "epoch_0001.png", "epoch_0002.png"} <= shared
    assert [name for name in shared if theirs[name] != ours[name]] == []


class Boom(Exception):
    """An error of the user's own, which takes two arguments."""

    def __init__(self, one, two):
        super().__init__(one)


class Raise(keras.callbacks.Callback):
    def __init__(self, event, error):
        super().__init__()
        self.error = error
        setattr(self, event, self.raise_at_4)

    def raise_at_4(self, *_, **__):
        if int(self.model.gan.step) >= 4:
            raise self.error


def test_what_a_callback_raises_comes_out_once_the_run_is_saved(train):
    for event, error in (("on_train_batch_end", Boom(1, 2)), ("on_epoch_end", KeyboardInterrupt())):
        ended = Recorder()
        with pytest.raises(type(error)) as raised:
            train("run", Raise(event, error), ended, epochs=3, eval_every=0)
        assert raised.value is error and raised.value.__context__ is None
        assert "train ends" not in [name for name, *_ in ended.events]
    run = train(epochs=3, eval_every=0)
    assert {4, 6, 9} <= {*run.checkpoints} and run.step == 9


def test_what_a_callback_raises_before_the_first_step_is_raised(train, tmp_path):
    class Early(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            raise Boom(1, 2)

    with pytest.raises(Boom):
        train("run", Early(), eval_every=0)
    assert train(eval_every=0).step == 6


@pytest.mark.thorough
def test_a_learning_rate_that_a_callback_sets_is_saved_with_its_epoch(train):
    """The run resumed goes on with it, as one that was never stopped."""
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    whole = train("whole", schedule, eval_every=0)
    train("parts", schedule, StopAfterEpoch(), eval_every=0)
    resumed = train("parts", schedule, eval_every=0)
    assert saved(whole)["ckpt-6.index"] == saved(resumed)["ckpt-6.index"]
    assert saved(whole)["ckpt-6.index"] != saved(train("plain", eval_every=0))["ckpt-6.index"]


def test_several_steps_at_once_are_told_once(train):
    recorder = Recorder()
    train("run", recorder, steps_per_execution=2, eval_every=0)
    calls = [(step, batch) for name, step, *batch in recorder.events if name == "step ends"]
    assert calls == [(2, [1]), (3, [2]), (5, [1]), (6, [2])]


def test_what_is_no_callback_is_refused(train, tmp_path):
    with pytest.raises(UserError, match="`callbacks` must be keras.callbacks.Callback, not <func"):
        train("run", lambda epoch: None)
    assert not (tmp_path / "run").exists()


def test_early_stopping_on_the_distance(train):
    """A distance that can't get better by 1,000 ends the run after an epoch of patience."""
    stopping = keras.callbacks.EarlyStopping(
        "frechet_distance_by_pixels_and_edges", min_delta=1e9, patience=1, mode="min"
    )
    run = train("run", stopping, epochs=5)
    assert run.step == 6 and np.isfinite(stopping.best)
