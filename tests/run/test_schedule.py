"""What is due after each step."""

import time

import pytest

from dcgan_tf.run import schedule as schedules
from dcgan_tf.run.schedule import Schedule
from dcgan_tf.settings.config import Config


def of(images=50, **settings):
    return Schedule.of(Config(**{"batch_size": 8} | settings), images)


@pytest.mark.parametrize(
    "batch_size, given, steps",
    [
        (1, None, 250),  # five epochs of 50 steps
        (8, None, 252),  # epochs of 6 steps, until there are 250
        (8, 3, 18),
        (8, 0, 0),
    ],
)
def test_images_are_evaluated_by_default_and_not_too_often(batch_size, given, steps):
    schedule = of(batch_size=batch_size, eval_every=given)
    assert schedule.evaluation_interval == steps
    due = [step for step in range(600) if schedule.evaluation_is_due(step)]
    assert due == ([*range(steps, 600, steps)] if steps else [])


def test_the_last_step_is_the_smaller_of_epochs_and_max_steps():
    assert of(epochs=3).last_step == 18
    assert of(epochs=3, max_steps=7).last_step == 7
    assert of(epochs=3, max_steps=70).last_step == 18


def test_an_epochs_steps_take_the_images_of_all_updates():
    assert of().steps_per_epoch == 6
    assert of(batch_size=4, discriminator_steps=2).steps_per_epoch == 6
    assert of(discriminator_steps=3).steps_per_epoch == 2


def reported(images, batch_size, **settings):
    schedule = of(images, batch_size=batch_size, **settings)
    return [step for step in range(1, schedule.last_step + 1) if schedule.report_is_due(step)]


@pytest.mark.parametrize(
    "images, batch_size, steps_per_epoch",
    [(100, 1, 100), (600, 4, 150), (50, 8, 6)],
    ids=["a hundred", "more", "few, in a run of few epochs"],
)
def test_each_epoch_is_reported(images, batch_size, steps_per_epoch):
    ends = [*range(steps_per_epoch, 20 * steps_per_epoch + 1, steps_per_epoch)]
    assert reported(images, batch_size, epochs=20, eval_every=0) == ends


def test_of_short_epochs_those_a_hundred_steps_apart_are_reported():
    long = {"epochs": 10**6, "max_steps": 3000, "eval_every": 0}
    assert reported(1, 1, **long) == [*range(100, 3001, 100)]
    # Of 30 steps: every fourth, every seventh, which is evaluated, and the last.
    due = {*range(120, 3001, 120), *range(210, 3001, 210), 3000}
    assert reported(30, 1, **long | {"eval_every": 7}) == sorted(due)


def test_a_run_of_few_steps_has_twenty_reports():
    short = {"epochs": 10**6, "eval_every": 0}
    assert reported(1, 1, max_steps=200, **short) == [*range(10, 201, 10)]
    assert reported(1, 1, max_steps=20, **short) == [*range(1, 21)]
    assert reported(3, 1, max_steps=200, **short) == [*range(12, 199, 12)]  # 200 is within an epoch


def test_steps_at_once_end_where_something_is_due():
    schedule = of(max_steps=14, checkpoint_steps=5)
    step, calls = 0, []
    while step < 14:
        calls.append(schedule.steps_at_once(step, max_steps=4))
        step += calls[-1]
    # Up to 4, and to 5, 6, 10, 12 and the end at 14.
    assert calls == [4, 1, 1, 4, 2, 2]
    assert of(max_steps=14).steps_at_once(7, max_steps=100) == 12 - 7


def test_a_state_is_saved_at_its_interval_and_when_it_is_old():
    now = time.monotonic()
    schedule = of(checkpoint_steps=5)
    assert [step for step in range(1, 16) if schedule.save_is_due(step, now)] == [5, 10, 15]
    for old, due in ((schedules.SAVE_SECONDS - 5, False), (schedules.SAVE_SECONDS + 5, True)):
        assert of().save_is_due(3, now - old) == due
