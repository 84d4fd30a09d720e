"""The two models with their optimizers and losses: what a training step needs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from dcgan_tf.conditional.auxiliary_classifier import with_auxiliary_classifier
from dcgan_tf.conditional.label_inputs import stack_of
from dcgan_tf.conditional.labels import NO_CLASSES, Classes
from dcgan_tf.distributed.step_random import AUGMENT_GENERATED, AUGMENT_REAL, StepRandom
from dcgan_tf.losses import TUTORIAL_LOSSES, Losses, make_losses
from dcgan_tf.models import ImageShape
from dcgan_tf.optimizers import make_optimizer
from dcgan_tf.regularization.adaptive import AdaptiveProbability, make_adaptive
from dcgan_tf.regularization.augmentation import Augmentation, augment, make_augmentations
from dcgan_tf.regularization.penalties import (
    Critique,
    Penalty,
    lazily,
    make_penalties,
    with_weights,
)
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.keras_settings import seeded
from dcgan_tf.transfer.growing import model_makers

Gradients = list[tf.Tensor]


class Gan:
    """A generator and a discriminator that can be trained.

    Create and train it within the scope of a `tf.distribute.Strategy` if there is one.

    Args:
        generator: from noise, float32 [batch, noise_dim], to images, float32 [batch, H, W, C] in
            [-1, 1]; a conditional one takes [noise, labels].
        discriminator: from images to logits, float32 [batch / pack, 1]; a conditional one takes
            [images, labels].
        generator_optimizer, discriminator_optimizer: one for each model.
        random: the random numbers of each step.
        losses: the losses of both models.
        penalties: terms of the discriminator's loss.
        augmentations: applied to every image that the discriminator sees.
        augment_probability: the probability that an augmentation is applied to an image.
        adaptive: adapts the probability during training, in place of `augment_probability`.
        joint_batch: whether real and generated images go through the discriminator as one batch.
            Batch norm then uses the statistics of the mixture, and a difference between the means
            of the two remains visible.
        pack: the number of images that the discriminator sees at once.
        ema_generator: an exponential moving average of the generator, without its label input.
        ema_decay: the decay of the average.
        ema_warm_up: whether the decay starts small, so the average soon forgets the first steps.
    """

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        generator_optimizer: keras.optimizers.Optimizer,
        discriminator_optimizer: keras.optimizers.Optimizer,
        random: StepRandom,
        losses: Losses = TUTORIAL_LOSSES,
        penalties: Sequence[Penalty] = (),
        augmentations: Sequence[Augmentation] = (),
        augment_probability: float = 1.0,
        adaptive: AdaptiveProbability | None = None,
        joint_batch: bool = False,
        pack: int = 1,
        ema_generator: keras.Sequential | None = None,
        ema_decay: float = 0.999,
        ema_warm_up: bool = True,
    ) -> None:
        self.generator = generator
        self.discriminator = discriminator
        self.generator_optimizer = generator_optimizer
        self.discriminator_optimizer = discriminator_optimizer
        # Creates the optimizers' variables, so a checkpoint can be restored before the first step.
        generator_optimizer.build(generator.trainable_variables)
        discriminator_optimizer.build(discriminator.trainable_variables)
        self.random = random
        self.step = random.step
        self.discriminator_loss, self.generator_loss, is_relative = losses
        self.generator_needs_real = joint_batch or is_relative
        self.penalties = penalties
        self.augmentations = augmentations
        self.augment_probability = augment_probability
        self.adaptive = adaptive
        self.joint_batch = joint_batch
        self.pack = pack
        self.ema_generator = ema_generator
        self.ema_decay = ema_decay
        self.ema_warm_up = ema_warm_up

    @property
    def sampling_generator(self) -> keras.Sequential:
        """The stack to sample from: the EMA generator's if there is one.

        In a conditional run, its input is the noise concatenated with one-hot labels.
        """
        return self.ema_generator or stack_of(self.generator)

    def discriminate(
        self,
        real: tf.Tensor | None,
        fake: tf.Tensor | None,
        real_labels: tf.Tensor | None = None,
        fake_labels: tf.Tensor | None = None,
        discriminator: Callable[..., tf.Tensor] | None = None,
    ) -> tuple[tf.Tensor | None, tf.Tensor | None]:
        """The logits of real and of generated images in training mode, float32 [batch / pack, 1].

        With an auxiliary classifier, they are followed by the log-likelihood of the label.

        Args:
            real, fake: the images, float32 [batch, H, W, C] in [-1, 1]. Without `joint_batch`,
                either may be None, and then its logits are None.
            real_labels, fake_labels: class ids, int [batch], in a conditional run.
            discriminator: used in place of the GAN's own.
        """
        discriminator = discriminator or self.discriminator
        if self.joint_batch:
            both = tf.concat([real, fake], axis=0)
            labels = None if real_labels is None else tf.concat([real_labels, fake_labels], axis=0)
            real_logits, fake_logits = tf.split(
                discriminator(with_labels(both, labels), training=True), 2
            )
            return real_logits, fake_logits
        real_logits = fake_logits = None
        if real is not None:
            real_logits = discriminator(with_labels(real, real_labels), training=True)
        if fake is not None:
            fake_logits = discriminator(with_labels(fake, fake_labels), training=True)
        return real_logits, fake_logits

    def augment(
        self, real: tf.Tensor, fake: tf.Tensor, update: int = 0
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Applies the same augmentations to real and generated images, at random."""
        probability = self.adaptive.value if self.adaptive else self.augment_probability
        seeds = (self.random.seed(use, update) for use in (AUGMENT_REAL, AUGMENT_GENERATED))
        real, fake = (
            augment(images, self.augmentations, seed, probability)
            for images, seed in zip((real, fake), seeds)
        )
        return real, fake

    def penalty(
        self,
        real: tf.Tensor,
        fake: tf.Tensor,
        real_labels: tf.Tensor | None = None,
        fake_labels: tf.Tensor | None = None,
        update: int = 0,
        weights: Sequence[tf.Tensor] | None = None,
        lazy: bool = True,
    ) -> tf.Tensor:
        """The sum of the penalties on the discriminator, float32 scalar.

        Each differentiates the discriminator exactly as the loss uses it, and does not update the
        moving averages of batch norm.

        Args:
            real, fake, real_labels, fake_labels: see `discriminate`.
            update: the index of the update within the step.
            weights: used in place of the discriminator's trainable weights.
            lazy: whether each penalty is computed only every `interval` steps. Its gradient then
                reaches only the weights.
        """
        if lazy:
            fake = tf.stop_gradient(fake)
        beside_real, beside_fake = (fake, real) if self.joint_batch else (None, None)
        places = self.random.places(len(real.shape), self.pack, update)
        weights = weights or self.discriminator.trainable_variables
        weights = [tf.convert_to_tensor(weight) for weight in weights]

        def term(penalty: Penalty, weights: Sequence[tf.Tensor]) -> tf.Tensor:
            labels_and_model = (real_labels, fake_labels, with_weights(self.discriminator, weights))
            critique = Critique(
                lambda images: self.discriminate(images, beside_real, *labels_and_model)[0],
                lambda images: self.discriminate(beside_fake, images, *labels_and_model)[1],
                places,
            )
            return penalty.factor * penalty.function(critique, real, fake)

        terms = []
        for penalty in self.penalties:
            interval = penalty.interval if lazy else 1
            terms.append(lazily(functools.partial(term, penalty), weights, self.step, interval))
        return tf.add_n(terms)

    def update_ema(self) -> None:
        """Updates the EMA generator, including the moving averages of batch norm."""
        assert self.ema_generator is not None
        step = tf.cast(self.step, tf.float32)
        warm_up = (1.0 + step) / (10.0 + step) if self.ema_warm_up else 1.0
        decay = tf.minimum(self.ema_decay, warm_up)
        for mean, value in zip(self.ema_generator.variables, self.generator.variables):
            mean.assign(decay * mean + (1.0 - decay) * value)


def with_labels(inputs: tf.Tensor, labels: tf.Tensor | None) -> tf.Tensor | list[tf.Tensor]:
    """The inputs of a model: noise or images, with labels in a conditional run."""
    return inputs if labels is None else [inputs, labels]


def scaled(loss: tf.Tensor, optimizer: keras.optimizers.Optimizer) -> tf.Tensor:
    """The loss, scaled if its optimizer is a `LossScaleOptimizer` (float16).

    Without scaling, small gradients underflow (Micikevicius et al., 2018). The optimizer divides
    the gradients by the same scale. Other optimizers are skipped: their `scale_loss` would cancel
    the division by the number of replicas.
    """
    is_scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    return optimizer.scale_loss(loss) if is_scaled else loss


def make_gan(config: Config, image_shape: ImageShape, classes: Classes = NO_CLASSES) -> Gan:
    """A new GAN with random initial weights; those of `init_from` are loaded later.

    Args:
        config: the settings.
        image_shape: height, width and channels.
        classes: the classes of the training images, in a conditional run.

    Raises:
        UserError: the architecture can't make images of that size.
    """
    # Those of models.py, unless the run grows from a smaller one.
    make_generator, make_discriminator = model_makers(config)
    with seeded(config.seed):
        generator = make_generator(config, image_shape, len(classes))
        discriminator = make_discriminator(config, image_shape, len(classes))
        ema_generator = None
        if config.ema_decay is not None:
            ema_generator = keras.models.clone_model(stack_of(generator))
            ema_generator.set_weights(stack_of(generator).get_weights())
    losses = make_losses(config)
    if config.has_auxiliary_classifier:
        both = with_auxiliary_classifier(*losses[:2], config.auxiliary_weight or 0.0)
        losses = Losses(*both, losses.relative)
    return Gan(
        generator,
        discriminator,
        make_optimizer(config, config.generator_learning_rate),
        make_optimizer(
            config, config.discriminator_learning_rate, updates=config.discriminator_steps
        ),
        StepRandom(
            config.seed,
            config.batch_size,
            config.noise_dim,
            config.noise,
            classes,
            updates=1 + config.discriminator_steps if config.alternates else 1,
        ),
        losses,
        make_penalties(config),
        make_augmentations(config),
        config.augment_probability,
        make_adaptive(config),
        joint_batch=config.discriminator_batch == "joint",
        pack=config.pack,
        ema_generator=ema_generator,
        ema_decay=config.ema_decay or 0.0,
        # Weights from another run are already trained.
        ema_warm_up=config.init_from is None or config.fade_in > 0,
    )
