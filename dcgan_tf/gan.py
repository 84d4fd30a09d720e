"""Both models with their optimizers, losses and noise: what a training step needs."""

from __future__ import annotations

import functools
from collections.abc import Callable

import keras
import tensorflow as tf

from dcgan_tf.augmentation.differentiable import augment
from dcgan_tf.cli.errors import UserError
from dcgan_tf.config import Config
from dcgan_tf.data import split_label_channel
from dcgan_tf.datasets.labels import UNLABELLED, Classes
from dcgan_tf.distributed.replicas import replica_slice
from dcgan_tf.growing.fade_in import set_alpha
from dcgan_tf.losses import make_losses
from dcgan_tf.models import ImageShape, make_discriminator, make_generator
from dcgan_tf.noise import training_noise

Gradients = list[tf.Tensor]

# What a step draws random numbers for, apart from its noise.
PENALTY, AUGMENT_REAL, AUGMENT_GENERATED, LABELS = 1, 2, 3, 4


class Gan:
    """A generator and a discriminator that can be trained.

    To be made, and trained, within the scope of its `tf.distribute.Strategy`.

    Args:
        config: the settings of both models and of their training.
        image_shape: height, width and channels.
        backward: how the gradients of both losses come back; by default `separate_gradients`, as
            in the tutorial.
        classes: of the training images, if both models learn their labels, too.

    Raises:
        UserError: `backward` is left out, and the config asks for what `train_step` and
            `separate_gradients` know nothing of.

    Attributes:
        generator, discriminator: the Keras Sequential models.
        generator_optimizer, discriminator_optimizer: Adam, within a `LossScaleOptimizer` in
            float16.
        generator_loss, discriminator_loss: functions of logits, see `losses.py`.
        backward: from a tape and what it recorded to the gradients of both models.
        ema_generator: the exponential moving average of the generator's weights, or None.
        step: int64 variable, how many training steps were taken.
    """

    def __init__(
        self,
        config: Config,
        image_shape: ImageShape,
        backward: Callable[..., tuple[Gradients, Gradients]] | None = None,
        classes: Classes = UNLABELLED,
    ) -> None:
        if backward is None:
            check_plain(config, classes)
        self.config = config
        self.classes = classes
        keras.utils.set_random_seed(config.seed)
        self.generator = make_generator(config, image_shape, len(classes))
        self.discriminator = make_discriminator(config, image_shape, len(classes))
        self.generator_optimizer = make_optimizer(
            config, self.generator, config.generator_learning_rate
        )
        self.discriminator_optimizer = make_optimizer(
            config, self.discriminator, config.discriminator_learning_rate
        )
        self.discriminator_loss, self.generator_loss = make_losses(config)
        self.backward = functools.partial(backward or separate_gradients, self)
        self.replicas = tf.distribute.get_strategy().num_replicas_in_sync
        self.step = tf.Variable(
            0,
            dtype=tf.int64,
            trainable=False,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )
        self.ema_generator = None
        if config.ema_decay is not None:
            self.ema_generator = keras.models.clone_model(self.generator)
            self.ema_generator.set_weights(self.generator.get_weights())

    @property
    def sampling_generator(self) -> keras.Sequential:
        """The generator that images are drawn from: its moving average, if there is one."""
        return self.ema_generator or self.generator

    def noise(self, update: int = 0) -> tf.Tensor:
        """The noise of one of the step's updates, float32 [batch, noise_dim].

        In a conditional run, the labels of the images that are to be made from it stand beside it:
        float32 [batch, noise_dim + classes].
        """
        config, draw = self.config, self.draw(update)
        noise = replica_slice(
            lambda shape: training_noise(config.noise, shape, config.seed, draw),
            [config.batch_size // self.replicas, config.noise_dim],
        )
        return tf.concat([noise, self.labels(update)], axis=1) if self.classes else noise

    def labels(self, update: int = 0) -> tf.Tensor:
        """The labels of the generated images of one of the step's updates.

        They are drawn in the proportions of the training images.

        Returns:
            One-hot vectors, float32 [batch, classes].
        """
        log_counts = tf.math.log([[*map(float, self.classes.counts)]])
        seed = self.seed(LABELS, update)
        numbers = replica_slice(
            lambda shape: tf.random.stateless_categorical(log_counts, shape[0], seed)[0],
            [self.config.batch_size // self.replicas],
        )
        return tf.one_hot(numbers, len(self.classes))

    def draw(self, update: int = 0) -> tf.Tensor:
        """A number, int64, for the randomness of one of the step's updates and of no other."""
        config = self.config
        draws_per_step = 1 + config.discriminator_steps if config.alternates else 1
        return self.step * draws_per_step + update

    def seed(self, use: int, update: int = 0) -> tf.Tensor:
        """A seed, int [2], for random numbers, other than noise, of one of the updates."""
        seed = [self.config.seed, self.draw(update)]
        return tf.random.experimental.stateless_fold_in(seed, use)

    @property
    def alpha(self) -> tf.Tensor:
        """How far the new layers are faded in (`--fade_in`), float32 from 0 to 1."""
        return tf.minimum(tf.cast(self.step, tf.float32) / self.config.fade_in, 1.0)

    def discriminate(
        self,
        images: tf.Tensor,
        generated_images: tf.Tensor,
        discriminator: Callable[..., tf.Tensor] | None = None,
        update: int = 0,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The logits of real and of generated images, as `seen`.

        Each batch goes through the discriminator on its own, as in the tutorial, or both as one
        (`--discriminator_batch joint`). Batch norm then normalises both with the statistics of the
        mixture, so that a difference between their means stays visible to it.

        Args:
            images: float32 [batch, H, W, C] in [-1, 1], real ones; in a conditional run with a
                channel more, see `data.with_label_channel`.
            generated_images: float32 [batch, H, W, C].
            discriminator: in place of the own one.
            update: which of the step's.

        Returns:
            Real and generated images' logits, float32 [batch, 1] (with `--pack` M, [batch / M, 1]).
        """
        discriminator = discriminator or self.discriminator
        images, generated_images = self.seen(images, generated_images, update)
        if self.config.discriminator_batch == "joint":
            both = tf.concat([images, generated_images], axis=0)
            real_logits, fake_logits = tf.split(discriminator(both, training=True), 2)
            return real_logits, fake_logits
        return discriminator(images, training=True), discriminator(generated_images, training=True)

    def discriminate_generated(
        self,
        images: tf.Tensor,
        generated_images: tf.Tensor,
        discriminator: Callable[..., tf.Tensor] | None = None,
        update: int = 0,
    ) -> tf.Tensor:
        """The logits of generated images alone, for an update of the generator of its own.

        Arguments are those of `discriminate`; the real images count in a joint batch only.
        """
        if self.config.discriminator_batch == "joint":
            return self.discriminate(images, generated_images, discriminator, update)[1]
        generated_images = self.seen(images, generated_images, update)[1]
        return (discriminator or self.discriminator)(generated_images, training=True)

    def seen(
        self, images: tf.Tensor, generated_images: tf.Tensor, update: int = 0
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Real and generated images as the discriminator sees them in one of the step's updates.

        They are augmented by `--augment`. In a conditional run, each then has its label beside it,
        as constant channels (Mirza and Osindero, 2014).
        """
        numbers = None
        if self.classes:
            images, numbers = split_label_channel(images)
        names = self.config.augmentations
        images = augment(images, names, self.seed(AUGMENT_REAL, update))
        generated_images = augment(generated_images, names, self.seed(AUGMENT_GENERATED, update))
        if numbers is None:
            return images, generated_images
        labels = tf.one_hot(numbers, len(self.classes))
        return (
            with_label_channels(images, labels),
            with_label_channels(generated_images, self.labels(update)),
        )

    def end_step(self) -> None:
        """Moves the EMA generator after the generator, and counts the step.

        The decay is warmed up, (1 + step) / (10 + step) at most, so that the average does not
        cling to the first steps' weights, unless all of these are trained ones (`--init_from`
        without `--fade_in`).
        """
        config = self.config
        if self.ema_generator is not None:
            step = tf.cast(self.step, tf.float32)
            has_new_layers = config.init_from is None or config.fade_in
            warm_up = (1.0 + step) / (10.0 + step) if has_new_layers else 1.0
            decay = tf.minimum(config.ema_decay, warm_up)
            for mean, value in zip(self.ema_generator.variables, self.generator.variables):
                mean.assign(decay * mean + (1.0 - decay) * value)
        self.step.assign_add(1)
        if config.fade_in:
            models = (self.generator, self.discriminator, self.ema_generator)
            set_alpha([model for model in models if model is not None], self.alpha)


def check_plain(config: Config, classes: Classes) -> None:
    """Refuses what the tutorial's step would leave out.

    Raises:
        UserError: there is some.
    """
    for is_left_out, setting in (
        (config.alternates, "updates of the discriminator of its own"),
        (config.unroll_steps, "unroll_steps"),
        (config.real_penalty, "real_penalty"),
        (config.precision == "float16", "precision float16"),
        (config.conditional and not classes, "conditional, without classes"),
        (config.init_from is not None, "init_from"),
    ):
        if is_left_out:
            raise UserError(
                f"a custom loop takes the tutorial's step, which does not support {setting}: "
                f"use dcgan_tf.train instead"
            )


def with_label_channels(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Images with one-hot labels, float32 [batch, classes], as constant channels beside them."""
    shape = [*images.shape[:3], labels.shape[1]]
    return tf.concat([images, tf.broadcast_to(labels[:, None, None, :], shape)], axis=3)


def separate_gradients(
    gan: Gan,
    tape: tf.GradientTape,
    images: tuple[tf.Tensor, tf.Tensor],
    logits: tuple[tf.Tensor, tf.Tensor],
    losses: tuple[tf.Tensor, tf.Tensor],
) -> tuple[Gradients, Gradients]:
    """The gradient of each loss with respect to its model's weights, as in the tutorial.

    `steps/shared_backward.py` and `steps/loss_scaling.py` have others of this signature.

    Args:
        gan: the models.
        tape: persistent; it recorded all of the following.
        images: the batch's and generated ones.
        logits: of real and of generated images.
        losses: the generator's and the discriminator's, float32 scalars.

    Returns:
        The generator's gradients and the discriminator's, in the order of their variables.
    """
    gen_loss, disc_loss = losses
    gen_gradients = tape.gradient(gen_loss, gan.generator.trainable_variables)
    disc_gradients = tape.gradient(disc_loss, gan.discriminator.trainable_variables)
    return gen_gradients, disc_gradients


def make_optimizer(
    config: Config, model: keras.Model, learning_rate: float | None
) -> keras.optimizers.Optimizer:
    """Adam, with its moments made, so that they can be restored before the first step.

    Args:
        config: the settings.
        model: whose weights it updates.
        learning_rate: of this model, where it has one of its own; else the config's.
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
