"""What is due after which step."""

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


def test_last_step_is_the_sooner_of_epochs_and_max_steps():
    assert of(epochs=3).last_step == 18
    assert of(epochs=3, max_steps=7).last_step == 7
    assert of(epochs=3, max_steps=70).last_step == 18


def test_an_epochs_steps_take_the_images_of_all_updates():
    assert of().steps_per_epoch == 6
    assert of(batch_size=4, discriminator_steps=2).steps_per_epoch == 6
    assert of(discriminator_steps=3).steps_per_epoch == 2


def test_every_epoch_of_a_short_run_is_reported_and_some_of_a_long_one(monkeypatch):
    def reported(**settings):
        schedule = of(**settings)
        return [step for step in range(1, schedule.last_step + 1) if schedule.report_is_due(step)]

    assert reported(epochs=8) == [*range(6, 49, 6)]
    assert reported(epochs=8, max_steps=20) == [6, 12, 18]
    monkeypatch.setattr(schedules, "MOST_REPORTS", 3)
    # Of epochs of 6 steps: every third, the fifth, which is evaluated, and the last, the eighth.
    assert reported(epochs=8, eval_every=5) == [18, 30, 36, 48]
    assert reported(epochs=3) == [6, 12, 18]


def test_steps_at_once_end_where_something_is_to_be_done():
    schedule = of(max_steps=14, checkpoint_steps=5)
    step, calls = 0, []
    while step < 14:
        calls.append(schedule.steps_at_once(step, most=4))
        step += calls[-1]
    # Up to 4, and to 5, 6, 10, 12 and the end at 14.
    assert calls == [4, 1, 1, 4, 2, 2]
    assert of(max_steps=14).steps_at_once(7, most=100) == 12 - 7


def test_a_state_is_saved_at_its_interval_and_when_it_is_old():
    now = time.monotonic()
    schedule = of(checkpoint_steps=5)
    assert [step for step in range(1, 16) if schedule.save_is_due(step, now)] == [5, 10, 15]
    for old, due in ((schedules.SAVE_SECONDS - 5, False), (schedules.SAVE_SECONDS + 5, True)):
        assert of().save_is_due(3, now - old) == due
