"""The random numbers of a training step, the same on any number of replicas."""

from __future__ import annotations

import tensorflow as tf

from dcgan_tf.conditional.labels import NO_CLASSES, Classes
from dcgan_tf.distributed.replicas import replica_slice

# The uses of a step's random numbers, apart from noise.
PENALTY, AUGMENT_REAL, AUGMENT_GENERATED, LABELS = 1, 2, 3, 4


class StepRandom:
    """The random numbers of training, each a function of the seed and the step alone.

    Dropout has its own state, which is saved with the run.

    Args:
        seed: the run's seed.
        batch_size: images in a batch, over all replicas.
        noise_dim: the length of the noise vector z.
        noise: its distribution: "normal", N(0, 1), or "uniform", in [-1, 1].
        classes: the classes of the training images; generated labels follow their proportions.
        updates: the number of draws of noise in a step, 1 + `critic_updates` for `critic_step`.

    Attributes:
        step: int64 variable, the number of steps taken.
    """

    def __init__(
        self,
        seed: int,
        batch_size: int,
        noise_dim: int,
        noise: str = "normal",
        classes: Classes = NO_CLASSES,
        updates: int = 1,
    ) -> None:
        self.run_seed = seed
        self.batch_size = batch_size // tf.distribute.get_strategy().num_replicas_in_sync
        self.noise_dim = noise_dim
        self.distribution = noise
        self.classes = classes
        self.updates = updates
        self.step = tf.Variable(
            0,
            dtype=tf.int64,
            trainable=False,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )

    def noise(self, update: int = 0) -> tf.Tensor:
        """This replica's noise for one of the step's updates, float32 [batch, noise_dim]."""
        seed = [self.run_seed, self.update_index(update)]

        def draw(shape: list[int]) -> tf.Tensor:
            if self.distribution == "normal":
                return tf.random.stateless_normal(shape, seed)
            return tf.random.stateless_uniform(shape, seed, minval=-1.0, maxval=1.0)

        return replica_slice(draw, [self.batch_size, self.noise_dim])

    def labels(self, update: int = 0) -> tf.Tensor | None:
        """Class ids for generated images, in the proportions of the training images.

        Returns:
            int32 [batch]; None if there are no classes.
        """
        if not self.classes:
            return None
        log_counts = tf.math.log([[*map(float, self.classes.counts)]])
        seed = self.seed(LABELS, update)

        def draw(shape: list[int]) -> tf.Tensor:
            return tf.random.stateless_categorical(log_counts, shape[0], seed, tf.int32)[0]

        return replica_slice(draw, [self.batch_size])

    def places(self, rank: int, pack: int, update: int = 0) -> tf.Tensor:
        """Interpolation coefficients between real and generated images, float32 [batch, 1, …].

        Uniform in [0, 1); images that the discriminator sees together share one.
        """
        shape, seed = [self.batch_size // pack] + [1] * (rank - 1), self.seed(PENALTY, update)
        drawn = replica_slice(lambda shape: tf.random.stateless_uniform(shape, seed), shape)
        return tf.repeat(drawn, pack, axis=0)

    def seed(self, use: int, update: int = 0) -> tf.Tensor:
        """The seed of one random stream, other than noise, in one update, int [2]."""
        seed = [self.run_seed, self.update_index(update)]
        return tf.random.experimental.stateless_fold_in(seed, use)

    def update_index(self, update: int) -> tf.Tensor:
        """The index of one of the step's updates within the run, int64 scalar."""
        return self.step * self.updates + update
