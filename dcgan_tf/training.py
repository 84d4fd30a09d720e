"""Both models and the training step, which reads like the tutorial's."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from dcgan_tf.averaging import make_average, update_average
from dcgan_tf.checkpoints import Checkpoints
from dcgan_tf.cluster import is_chief, of_chief
from dcgan_tf.config import Config
from dcgan_tf.data import Images
from dcgan_tf.discrimination import DISCRIMINATE
from dcgan_tf.health import VitalSigns, vital_signs
from dcgan_tf.history import STEP_METRICS, History
from dcgan_tf.loss_scaling import scaled_step
from dcgan_tf.losses import LOSSES
from dcgan_tf.models import make_discriminator, make_generator
from dcgan_tf.noise import seeded_noise, training_noise
from dcgan_tf.one_pass import one_pass_step
from dcgan_tf.remedies import critic_step, unrolled_step
from dcgan_tf.replicas import on_all_replicas, replica_part
from dcgan_tf.run_directory import RunDirectory

GRID_IMAGES = 16


class StepOutput(NamedTuple):
    """What one training step found, before its update.

    Attributes:
        gen_loss, disc_loss: float32 scalars.
        d_real, d_fake: float32 scalars, the means of D(x) and D(G(z)), with D = sigmoid(logits):
            probabilities, unless the loss makes the logits scores.
        gen_gradient_norm, disc_gradient_norm, spread: float32 scalars, see `VitalSigns`.
        real_logits, fake_logits: float32 [batch, 1].
    """

    gen_loss: tf.Tensor
    disc_loss: tf.Tensor
    d_real: tf.Tensor
    d_fake: tf.Tensor
    gen_gradient_norm: tf.Tensor
    disc_gradient_norm: tf.Tensor
    spread: tf.Tensor
    real_logits: tf.Tensor
    fake_logits: tf.Tensor


class Trainer:
    """Both models, their optimizers, and all else that training changes.

    Args:
        config: the settings of the run.
        images: the training images, uint8 [N, H, W, C].

    It is to be made, and to train, within the scope of its `tf.distribute.Strategy`.
    """

    def __init__(self, config: Config, images: Images) -> None:
        self.config = config
        self.images = images
        self.steps_per_epoch = len(images) // config.images_per_step

        keras.utils.set_random_seed(config.seed)
        self.generator = make_generator(config, images.shape[1:])
        self.discriminator = make_discriminator(config, images.shape[1:])
        self.generator_optimizer = make_optimizer(
            config, self.generator, config.generator_learning_rate
        )
        self.discriminator_optimizer = make_optimizer(
            config, self.discriminator, config.discriminator_learning_rate
        )
        self.trained = (
            self.generator,
            self.discriminator,
            self.generator_optimizer,
            self.discriminator_optimizer,
        )
        self.discriminate = DISCRIMINATE[config.discriminator_batch]
        self.discriminator_loss, self.generator_loss = LOSSES[config.loss]
        if config.label_smoothing:
            self.discriminator_loss = functools.partial(
                self.discriminator_loss, label_smoothing=config.label_smoothing
            )
        for step, needed in (
            (one_pass_step, not config.discriminator_batch_norm),
            (critic_step, config.alternates),
            (unrolled_step, config.unroll_steps),
            (scaled_step, config.precision == "float16"),
        ):
            if needed:
                self.train_step = tf.function(functools.partial(step, self))
        self.replicas = tf.distribute.get_strategy().num_replicas_in_sync
        if config.jit_compile:
            self.train_step = tf.function(self.train_step.python_function, jit_compile=True)
        if self.replicas > 1:
            one_replicas = self.train_step.python_function
            self.train_step = on_all_replicas(one_replicas, len(STEP_METRICS))

        self.step = tf.Variable(
            0,
            dtype=tf.int64,
            trainable=False,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )
        noise = seeded_noise(config.noise, config.seed, range(GRID_IMAGES), config.noise_dim)
        self.grid_noise = tf.Variable(noise, trainable=False)
        self.history = History()
        self.state = tf.train.Checkpoint(
            generator=self.generator,
            discriminator=self.discriminator,
            generator_optimizer=self.generator_optimizer,
            discriminator_optimizer=self.discriminator_optimizer,
            dropout_seeds=dropout_seeds(self.discriminator),
            step=self.step,
            grid_noise=self.grid_noise,
            history=self.history,
        )
        self.averaged_generator = None
        if config.ema_decay is not None:
            self.averaged_generator = make_average(self.generator)
            self.state.averaged_generator = self.averaged_generator

    @tf.function
    def train_step(self, images: tf.Tensor) -> StepOutput:
        """One update of both models, as in the tutorial.

        The steps that take its place do something else (`remedies.py`), or the same in another way:
        `one_pass.py`, faster, where the discriminator has no batch norm; `loss_scaling.py`, in
        float16.

        Args:
            images: float32 [batch, H, W, C] in [-1, 1].
        """
        noise = self.noise()

        with tf.GradientTape() as gen_tape, tf.GradientTape() as disc_tape:
            generated_images = self.generator(noise, training=True)

            real_logits, fake_logits = self.discriminate(
                self.discriminator, images, generated_images
            )

            gen_loss = self.generator_loss(fake_logits)
            disc_loss = self.discriminator_loss(real_logits, fake_logits)

        gen_variables = self.generator.trainable_variables
        disc_variables = self.discriminator.trainable_variables
        gen_gradients = gen_tape.gradient(gen_loss, gen_variables)
        disc_gradients = disc_tape.gradient(disc_loss, disc_variables)

        self.generator_optimizer.apply_gradients(zip(gen_gradients, gen_variables))
        self.discriminator_optimizer.apply_gradients(zip(disc_gradients, disc_variables))
        signs = vital_signs(images, generated_images, gen_gradients, disc_gradients)
        return self.end_step(gen_loss, disc_loss, real_logits, fake_logits, signs)

    @tf.function
    def train_steps(self, batches: Iterator[tf.Tensor], count: tf.Tensor) -> StepOutput:
        """Some steps, without Python in between.

        Args:
            batches: of a dataset, whose elements `train_step` takes.
            count: int scalar, how many steps.

        Returns:
            What they return, each stacked: float32 [count, …].
        """
        return tf.map_fn(
            lambda _: self.train_step(next(batches)),
            tf.range(count),
            fn_output_signature=StepOutput(*[tf.float32] * len(StepOutput._fields)),
            parallel_iterations=1,
        )

    def end_step(
        self,
        gen_loss: tf.Tensor,
        disc_loss: tf.Tensor,
        real_logits: tf.Tensor,
        fake_logits: tf.Tensor,
        signs: VitalSigns,
    ) -> StepOutput:
        """Counts a step whose updates are done, and gives its output."""
        if self.averaged_generator is not None:
            update_average(
                self.averaged_generator, self.generator, self.config.ema_decay, self.step
            )
        self.step.assign_add(1)
        d_real = tf.reduce_mean(tf.sigmoid(real_logits))
        d_fake = tf.reduce_mean(tf.sigmoid(fake_logits))
        return StepOutput(gen_loss, disc_loss, d_real, d_fake, *signs, real_logits, fake_logits)

    def draw(self, index: int = 0) -> tf.Tensor:
        """A number for the randomness of one of a step's updates, the same in no other update."""
        draws_per_step = 1 + self.config.discriminator_steps if self.config.alternates else 1
        return self.step * draws_per_step + index

    def noise(self, index: int = 0) -> tf.Tensor:
        """The noise of one of a step's updates, float32 [batch, noise_dim]."""
        config, draw = self.config, self.draw(index)
        return replica_part(
            lambda shape: training_noise(config.noise, shape, config.seed, draw),
            [config.batch_size // self.replicas, config.noise_dim],
        )

    def last_step(self) -> int:
        """The step at which training ends."""
        last = self.config.epochs * self.steps_per_epoch
        return min(last, self.config.max_steps or last)

    def is_judged(self) -> bool:
        """Whether the training reaches an epoch after which its images are to be judged."""
        every = self.config.epochs_to_evaluation
        return 0 < every * self.steps_per_epoch <= self.last_step()

    def sample_grid(self) -> np.ndarray:
        """The fixed noise's images, float32 [16, H, W, C] in [-1, 1]."""
        generator = self.averaged_generator or self.generator
        return generator(self.grid_noise, training=False).numpy()

    def restore(self, run: RunDirectory) -> int:
        """Goes back to the run's newest intact checkpoint, which the chief looks for.

        Returns:
            The step that the run goes on from; 0 where it has no checkpoint.

        Raises:
            UserError: the run has checkpoints, and none is intact.
        """
        checkpoints = Checkpoints(run.checkpoints, self.state)
        step = 0
        if is_chief():
            step = checkpoints.restore() or 0
            checkpoints.set_aside_after(step)
        step = int(of_chief(step))
        if step and not is_chief():
            checkpoints.restore(step)
        return step


def make_optimizer(
    config: Config, model: keras.Model, learning_rate: float | None
) -> keras.optimizers.Optimizer:
    """Adam, with its moments made, so that they can be restored before the first step.

    Its rate is the config's where the model has none of its own.
    """
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    optimizer = keras.optimizers.Adam(
        learning_rate or config.learning_rate,
        beta_1=config.beta_1,
        # The replicas' gradients are added up, and divided by this.
        loss_scale_factor=float(replicas) if replicas > 1 else None,
    )
    if config.precision == "float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(model.trainable_variables)
    return optimizer


def dropout_seeds(model: keras.Sequential) -> list[tf.Variable]:
    """The states of a model's dropout layers, which `tf.train.Checkpoint` doesn't track."""
    return [
        layer.seed_generator.state.value
        for layer in model.layers
        if isinstance(layer, keras.layers.Dropout)
    ]
