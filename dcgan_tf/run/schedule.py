"""The steps at which reports, evaluations and saves are due."""

from __future__ import annotations

import dataclasses
import time

from dcgan_tf.settings.config import EVAL_EPOCHS, EVAL_STEPS, Config
from dcgan_tf.settings.errors import UserError

SAVE_SECONDS = 600
REPORT_STEPS = 100
SHORT_RUN = 20  # the number of reports of a run with few steps


@dataclasses.dataclass(frozen=True)
class Schedule:
    """What is due after each step.

    Attributes:
        steps_per_epoch: the number of steps in an epoch.
        last_step: the step at which training ends.
        report_interval: steps between reports of an epoch, which also save.
        evaluation_interval: steps between evaluations; 0 for never.
        save_interval: steps between additional saves; 0 for never.
    """

    steps_per_epoch: int
    last_step: int
    report_interval: int
    evaluation_interval: int
    save_interval: int

    @classmethod
    def of(cls, config: Config, num_images: int) -> Schedule:
        """The schedule of a run.

        Reports come at the ends of epochs, at least REPORT_STEPS apart, or a twentieth of the run
        if that is less: each epoch has one, unless epochs are short. The last epoch and evaluated
        ones always have one.

        Raises:
            UserError: there are fewer images than a step needs.
        """
        steps_per_epoch = num_images // config.images_per_step
        if not steps_per_epoch:
            raise UserError(
                f"{num_images:,} images are too few: a step needs {config.images_per_step}"
            )
        last_step = config.epochs * steps_per_epoch
        last_step = min(last_step, config.max_steps or last_step)
        apart = min(REPORT_STEPS, -(-last_step // SHORT_RUN))
        eval_epochs = config.eval_every
        if eval_epochs is None:
            eval_epochs = max(EVAL_EPOCHS, -(-EVAL_STEPS // steps_per_epoch))
        return cls(
            steps_per_epoch,
            last_step,
            report_interval=-(-apart // steps_per_epoch) * steps_per_epoch,
            evaluation_interval=eval_epochs * steps_per_epoch,
            save_interval=config.checkpoint_steps or 0,
        )

    def report_is_due(self, step: int) -> bool:
        """Whether a step ends an epoch that is reported."""
        return step % self.steps_per_epoch == 0 and (
            step % self.report_interval == 0
            or step == self.last_step
            or self.evaluation_is_due(step)
        )

    def evaluation_is_due(self, step: int) -> bool:
        """Whether images are evaluated after a step."""
        interval = self.evaluation_interval
        return interval > 0 and step > 0 and step % interval == 0

    def save_is_due(self, step: int, saved_at: float) -> bool:
        """Whether to save within an epoch, at an interval or long after `saved_at` (monotonic)."""
        at_interval = self.save_interval > 0 and step % self.save_interval == 0
        return at_interval or time.monotonic() - saved_at > SAVE_SECONDS

    def steps_at_once(self, step: int, max_steps: int) -> int:
        """The number of steps to run in one call, up to when something may be due."""
        intervals = (self.steps_per_epoch, self.save_interval or self.last_step)
        pause = min(self.last_step, *(step - step % each + each for each in intervals))
        return min(max_steps, pause - step)
