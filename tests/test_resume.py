"""Runs that are stopped in any way continue as if they had not been."""

import csv
import json
import os
import shutil
import signal
import subprocess
import time

import imageio.v3 as iio
import numpy as np
import pytest
import tensorflow as tf

from dcgan_tf.commands import train
from dcgan_tf.training import Trainer
from tests.conftest import (
    BATCH_SIZE,
    STEPS_PER_EPOCH,
    finish,
    fork,
    one_sentence,
    thorough,
    train_command,
    write_idx,
)
from tests.forks import left_over
from tests.reporting.test_tensorboard import logged

LAST_STEP = 2 * STEPS_PER_EPOCH


def state(run_dir):
    """The bytes of the newest checkpoint, of every value in it, and of the pictures."""
    checkpoint = tf.train.latest_checkpoint(str(run_dir / "checkpoints"))
    assert checkpoint.endswith(f"ckpt-{LAST_STEP}")
    reader = tf.train.load_checkpoint(checkpoint)
    names = reader.get_variable_to_shape_map()
    assert len(names) > 60
    contents = {name: np.asarray(reader.get_tensor(name)).tobytes() for name in names}
    pictures = [*(run_dir / "samples").iterdir(), run_dir / "training.gif", run_dir / "losses.png"]
    for path in [*(run_dir / "checkpoints").glob(f"ckpt-{LAST_STEP}.*"), *pictures]:
        contents[path.name] = path.read_bytes()
    return contents


def assert_same_run(run_dir, other):
    """Everything is as in the other run, but for the times."""
    ours, theirs = state(run_dir), state(other)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []
    assert [row[:9] for row in table(run_dir)] == [row[:9] for row in table(other)]
    assert logged(run_dir / "tensorboard") == logged(other / "tensorboard")


def table(run_dir):
    with (run_dir / "metrics.csv").open() as file:
        return list(csv.reader(file))


def flags(run_dir, digits_dir, *more):
    return train_command(run_dir, digits_dir, *more)[2:]


def wait_for(condition, process):
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_finished_run_has_everything(finished_run):
    names = {path.name for path in finished_run.iterdir()}
    assert names == {
        ".lock",
        "config.json",
        "checkpoints",
        "samples",
        "training.gif",
        "losses.png",
        "metrics.csv",
        "step_times.npy",
        "tensorboard",
    }
    samples = sorted(path.name for path in (finished_run / "samples").iterdir())
    assert samples == ["epoch_0001.png", "epoch_0002.png", "init.png", "latest.png", "reals.png"]
    header, *rows = table(finished_run)
    assert header == [
        *("epoch", "step", "gen_loss", "disc_loss", "d_real", "d_fake"),
        *("gen_gradient_norm", "disc_gradient_norm", "spread", "images_per_second", "seconds"),
    ]
    assert [row[:2] for row in rows] == [["1", "6"], ["2", "12"]]
    assert all(float(value) > 0 for row in rows for value in row)
    film = iio.imread(finished_run / "training.gif", index=None)
    assert len(film) == 3
    config = json.loads((finished_run / "config.json").read_text())
    assert config["batch_size"] == BATCH_SIZE and config["epochs"] == 2
    assert config["made_with"]["tensorflow"] == tf.__version__


def test_tensorboard_has_scalars_grids_histograms_and_the_config(finished_run):
    found = logged(finished_run / "tensorboard")
    names = ("gen_loss", "disc_loss", "d_real", "d_fake", "disc_gradient_norm", "spread")
    assert all(found[f"step/{name}"] == [10] for name in names)
    assert all(found[f"epoch/{name}"] == [6, 12] for name in (*names, "images_per_second"))
    assert found["samples"] == [0, 6, 12] and found["config"] == [0]
    assert found["logits/real"] == found["logits/fake"] == [6, 12]
    assert sum(name.startswith("weights/") for name in found) == 16


def test_same_command_twice_has_nothing_left_to_do(run_main, finished_run, digits_dir):
    before = state(finished_run)
    code, out, _ = run_main(train, *flags(finished_run, digits_dir))
    assert code == 0 and "to train longer, use a larger --epochs" in out
    assert state(finished_run) == before


def test_a_run_that_was_killed_as_it_drew_its_end_is_drawn(
    run_main, finished_run, digits_dir, tmp_path
):
    run_dir = shutil.copytree(finished_run, tmp_path / "run")
    (run_dir / "losses.png").write_bytes(b"of an earlier step")
    (run_dir / "training.gif").rename(run_dir / ".training.gif.part")
    code, out, _ = run_main(train, *flags(run_dir, digits_dir))
    assert code == 0 and "nothing left to do" in out
    assert_same_run(run_dir, finished_run)
    assert left_over(run_dir) == []


def test_first_lines_describe_the_training(run_main, digits_dir, tmp_path):
    code, out, _ = run_main(train, *flags(tmp_path / "run", digits_dir, "--max_steps=2"))
    assert code == 0
    for part in ("mnist: 50 images of 28×28×1", "2,330,944", "212,865", "CPU", "from the start"):
        assert part in out
    assert out.splitlines()[-1].startswith("stopped in epoch 1 at step 2 of 6  gen_loss ")
    code, out, _ = run_main(train, *flags(tmp_path / "run", digits_dir, "--max_steps=3"))
    assert "resumed after step 2, to step 3" in out


@pytest.mark.parametrize("steps, warned", [(2, False), (3, True)])
def test_a_decay_that_ends_before_training_does_is_warned_of(
    steps, warned, run_main, digits_dir, tmp_path, caplog
):
    decay = ("--decay_from=1", "--decay_steps=1", f"--max_steps={steps}")
    code, out, _ = run_main(train, *flags(tmp_path / "run", digits_dir, *decay))
    assert code == 0 and "decays from step 1 on, to 0 at step 2" in out
    assert ("rates are 0 after step 2, but training ends at step 3" in caplog.text) == warned


@pytest.mark.thorough
def test_run_stopped_by_max_steps_within_an_epoch_is_resumed(
    run_main, finished_run, digits_dir, tmp_path
):
    run_dir = tmp_path / "run"
    assert run_main(train, *flags(run_dir, digits_dir, "--max_steps=3"))[0] == 0
    assert [row[:2] for row in table(run_dir)[1:]] == [["1", "3"]]
    assert run_main(train, *flags(run_dir, digits_dir, "--max_steps=7"))[0] == 0
    assert [row[:2] for row in table(run_dir)[1:]] == [["1", "6"], ["2", "7"]]
    assert run_main(train, *flags(run_dir, digits_dir))[0] == 0
    assert_same_run(run_dir, finished_run)


@pytest.mark.thorough
def test_augmented_run_that_was_stopped_ends_as_if_it_had_not_been(run_main, digits_dir, tmp_path):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    augment = "--augment=color,translation,cutout"
    assert run_main(train, *flags(whole, digits_dir, augment))[0] == 0
    assert run_main(train, *flags(stopped, digits_dir, augment, "--max_steps=7"))[0] == 0
    assert run_main(train, f"--run_dir={stopped}", "--epochs=2")[0] == 0
    assert_same_run(stopped, whole)


def kill_at_step_10(event, arguments):
    """Ends its process when the checkpoint of step 10 is to be put in place."""
    if event == "os.rename" and "ckpt-10.data" in str(arguments[1]):
        os.kill(os.getpid(), signal.SIGKILL)


def test_run_killed_within_an_epoch_ends_as_if_it_had_not_been(finished_run, digits_dir, tmp_path):
    command = train_command(tmp_path, digits_dir)
    process = fork(command, kill_at_step_10)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    code, out, _ = finish(command, how=fork)
    assert code == 0 and "resumed after step 8," in out
    assert_same_run(tmp_path, finished_run)


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signal_saves_and_ends(digits_dir, tmp_path, number, code):
    more = ["--epochs=100000", "--checkpoint_steps=1000000", "--eval_every=0", "--base_filters=4"]
    process = fork(train_command(tmp_path, digits_dir, *more))
    wait_for(lambda: [*(tmp_path / "checkpoints").glob("ckpt-*.index")], process)
    process.send_signal(number)
    process.send_signal(number)
    err = process.communicate()[1]
    assert process.returncode == code
    assert f"stopped by {number.name}: saved at step" in err and one_sentence(err)
    saved = int(err.split("saved at step ")[1].split()[0])
    assert tf.train.latest_checkpoint(str(tmp_path / "checkpoints")).endswith(f"ckpt-{saved}")
    assert table(tmp_path)[-1][1] == str(saved)


def test_damaged_newest_checkpoint_is_named_and_the_run_still_ends_the_same(
    run_main, finished_run, digits_dir, tmp_path, caplog
):
    run_dir = tmp_path / "run"
    shutil.copytree(finished_run, run_dir)
    data = run_dir / "checkpoints" / "ckpt-12.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)
    code, out, _ = run_main(train, *flags(run_dir, digits_dir))
    assert code == 0 and "resumed after step 10" in out
    assert "ckpt-12 is damaged" in caplog.text
    assert_same_run(run_dir, finished_run)


def test_other_settings_are_refused(run_main, finished_run, digits_dir):
    before = state(finished_run)
    code, _, err = run_main(train, *flags(finished_run, digits_dir, "--seed=5", "--beta_1=0.5"))
    assert code == 1 and "--beta_1 was 0.9, is 0.5; --seed was 0, is 5" in err
    assert one_sentence(err)
    code, _, err = run_main(train, *flags(finished_run, digits_dir, "--noresume"))
    assert code == 1 and "already holds a run" in err and one_sentence(err)
    assert state(finished_run) == before


def test_diverging_run_ends_at_the_step_and_is_not_saved(run_main, digits_dir, tmp_path):
    more = ["--learning_rate=1e30", "--base_filters=4"]
    code, _, err = run_main(train, *flags(tmp_path / "run", digits_dir, *more))
    assert code == 1 and "step 2 has gen_loss nan" in err and one_sentence(err)
    assert not list((tmp_path / "run").glob("checkpoints/*"))


def test_weight_that_is_not_a_number_is_not_saved(run_main, digits_dir, tmp_path, monkeypatch):
    """The loss of a step is found before its update, and so says nothing of what that broke."""
    restore = Trainer.restore

    def restore_and_break(self, run):
        whole_step = self.train_step

        def broken_step(images):
            output = whole_step(images)
            if self.step == 4:
                self.gan.generator.layers[0].kernel[0, 0].assign(np.nan)
            return output

        self.train_step = broken_step
        return restore(self, run)

    monkeypatch.setattr(Trainer, "restore", restore_and_break)
    code, _, err = run_main(train, *flags(tmp_path / "run", digits_dir, "--base_filters=4"))
    assert code == 1 and "step 4 left" in err and "ckpt-2)" in err and one_sentence(err)


def test_weights_to_evaluate_with_that_are_not_there_are_an_error(run_main, digits_dir, tmp_path):
    command = train_command(tmp_path / "run", digits_dir, "--epochs=42")[2:]
    code, _, err = run_main(train, *command, f"--inception_weights={tmp_path / 'none.h5'}")
    assert code == 1 and "--inception_weights" in err and one_sentence(err)
    assert not (tmp_path / "run").exists()


def test_too_few_images_leave_no_run_behind(run_main, digits_dir, tmp_path):
    code, _, err = run_main(train, *flags(tmp_path / "run", digits_dir, "--batch_size=51"))
    assert code == 1 and "--batch_size 51" in err and "50 images" in err and one_sentence(err)
    assert not (tmp_path / "run").exists()


@pytest.mark.thorough
@pytest.mark.parametrize(
    "given",
    [
        "--last_dropout=0.4 --spectral_norm --decay_steps=9 --augment=color --augment_target=0.6",
        *thorough("--mapping_layers=2"),
    ],
)
def test_run_with_settings_is_resumed_as_if_it_had_not_stopped(
    run_main, digits_dir, tmp_path, given
):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    settings = [*given.split(), "--base_filters=4", "--ema_decay=0.9"]
    assert run_main(train, *flags(whole, digits_dir, *settings))[0] == 0
    for last in ("--max_steps=3", "--max_steps=7", "--epochs=2"):
        assert run_main(train, *flags(stopped, digits_dir, *settings, last))[0] == 0
    assert_same_run(stopped, whole)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_full_disk_is_one_sentence_and_keeps_what_was_saved(run_main, digits_dir, tmp_path):
    # A checkpoint takes 29 MiB: two fit, the third does not.
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=70m", "tmpfs", tmp_path])
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        code, _, err = run_main(train, *flags(tmp_path / "run", digits_dir))
        assert code == 1 and "No space left on device" in err and one_sentence(err)
        subprocess.run(["mount", "-o", "remount,size=200m", tmp_path], check=True)
        code, out, _ = run_main(train, *flags(tmp_path / "run", digits_dir))
        assert code == 0 and "resumed after step 4" in out
    finally:
        subprocess.run(["umount", tmp_path])


EVALUATED = ["--eval_every=1", "--base_filters=4"]


@pytest.fixture(scope="module")
def evaluated_digits(tmp_path_factory, mnist):
    """A folder with 50 training digits and 60 to evaluate with."""
    folder = tmp_path_factory.mktemp("evaluated")
    write_idx(folder / "train-images-idx3-ubyte", mnist[:50])
    write_idx(folder / "t10k-images-idx3-ubyte", mnist[50:110])
    return folder


@pytest.fixture
def evaluated_run(run_main, few_evaluated, evaluated_digits, tmp_path):
    """A run on them that nothing interrupted, evaluated after each of its two epochs."""
    run_dir = tmp_path / "evaluated"
    assert run_main(train, *flags(run_dir, evaluated_digits, *EVALUATED))[0] == 0
    return run_dir


@pytest.mark.parametrize("stops", [[LAST_STEP], *thorough([STEPS_PER_EPOCH])])
def test_a_signal_at_an_epochs_end_loses_no_evaluation(
    evaluated_digits, evaluated_run, run_main, tmp_path, monkeypatch, stops
):
    stopped = tmp_path / "stopped"
    taken = []

    def stop_at_the_step(received, save_is_due):
        taken.append(save_is_due)
        return (signal.SIGTERM if len(taken) in stops else None), save_is_due

    with monkeypatch.context() as patched:
        patched.setattr("dcgan_tf.training.agree_on_stop", stop_at_the_step)
        assert run_main(train, *flags(stopped, evaluated_digits, *EVALUATED))[0] == 143
    code, out, err = run_main(train, *flags(stopped, evaluated_digits, *EVALUATED))
    assert code == 0 and "Fréchet distance" in out, err

    assert_same_run(stopped, evaluated_run)
    assert [row[11:] for row in table(stopped)] == [row[11:] for row in table(evaluated_run)]
    for name in ("checkpoints/best", "evaluations.png"):
        assert (stopped / name).read_bytes() == (evaluated_run / name).read_bytes()
    code, out, _ = run_main(train, *flags(stopped, evaluated_digits, *EVALUATED))
    assert code == 0 and "nothing left to do" in out


def test_an_ended_run_says_so_if_its_end_cannot_be_evaluated(
    tmp_path, mnist, run_main, monkeypatch
):
    write_idx(tmp_path / "train-images-idx3-ubyte", mnist[:BATCH_SIZE])  # too few for both halves
    monkeypatch.setattr("dcgan_tf.run.schedule.EVAL_STEPS", 1)
    command = flags(tmp_path / "run", tmp_path, "--base_filters=4", "--epochs=5")
    for said in (False, True):
        code, out, err = run_main(train, *command)
        assert code == 0, err
        assert ("nothing left to do: to train longer, use a larger --epochs" in out) == said
