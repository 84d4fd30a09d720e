"""A GAN as a `keras.Model` that trains by the steps of this project."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dcgan_tf.conditional.labels import NO_CLASSES, Classes
from dcgan_tf.data import make_batches, scale
from dcgan_tf.datasets.disk_images import check_images
from dcgan_tf.distributed.strategy import check_replicas
from dcgan_tf.gan import Gan, make_gan
from dcgan_tf.models import ImageShape
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from dcgan_tf.settings.keras_settings import compute_in
from dcgan_tf.steps.make_step import make_step
from dcgan_tf.train_step import StepScalars
from dcgan_tf.training import dropout_seeds


@keras.saving.register_keras_serializable("dcgan_tf")
class DCGAN(keras.Model):
    """A GAN with Keras's `compile`, `fit`, `predict`, `save` and callbacks.

    `model.predict(noise)`, or `model.predict([noise, labels])`, generates images, float32
    [N, H, W, C] in [-1, 1], with the EMA generator if there is one. The metrics are the means of
    `StepScalars`.

    Args:
        config: the settings: batch size, models, optimizers, losses and step.
        image_shape: height, width and channels.
        classes: the classes of a conditional model, or their number if they are equally frequent.
        gan: used in place of a new GAN.

    Raises:
        UserError: the settings are incompatible with each other or with the images.
    """

    @compute_in("float32")  # Keras casts the inputs of a model
    def __init__(
        self,
        config: Config,
        image_shape: ImageShape,
        classes: Classes | int = NO_CLASSES,
        gan: Gan | None = None,
    ) -> None:
        super().__init__(name="dcgan")
        if isinstance(classes, int):
            classes = Classes([*map(str, range(classes))], [1] * classes)
        if config.clusters and not classes:
            raise UserError(
                "`clusters` are found by `train`: set `clusters=None` in the config, or pass "
                "`classes` and train on your own labels"
            )
        if config.learns_labels != bool(classes):
            raise UserError("`conditional=True` and `classes` go together: use both, or neither")
        self.replicas = tf.distribute.get_strategy().num_replicas_in_sync
        check_replicas(config, self.replicas)
        self.config = config
        self.image_shape = tuple(image_shape)
        self.classes = classes
        self.gan = gan or make_gan(config, self.image_shape, classes)
        self.step_function = make_step(config)
        # Keras saves what it finds in the attributes of a model.
        self.generator = self.gan.generator
        self.discriminator = self.gan.discriminator
        self.ema_generator = self.gan.ema_generator
        self.generator_optimizer = self.gan.generator_optimizer
        self.discriminator_optimizer = self.gan.discriminator_optimizer
        self.means = [keras.metrics.Mean(name) for name in StepScalars._fields]
        self.built = True

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return self.means

    def compile(self, run_eagerly: bool = False, steps_per_execution: int = 1) -> None:
        """Prepares `fit`. The optimizers are those of the GAN; `optimizer` is the generator's."""
        super().compile(
            self.gan.generator_optimizer,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
            jit_compile=self.config.jit_compile,
        )

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        **others: Any,
    ) -> keras.callbacks.History:
        """Trains, as `keras.Model.fit` does.

        Args:
            x: images, uint8 [N, H, W, C] in [0, 255], trained on in the same order as in `train`;
                or a `tf.data.Dataset` of images or (image, label), batched or not, uint8 in
                [0, 255] or float32 in [-1, 1].
            y: the class ids of the images, int [N], for a conditional model.
            batch_size: the batch size of the config, if given; all batches are full.
            epochs: the epoch at which training ends.
            others: `callbacks`, `verbose`, `initial_epoch`, `steps_per_epoch`.

        Raises:
            UserError: the images or labels don't fit the model.
        """
        if self.distribute_strategy.num_replicas_in_sync != self.replicas:
            raise UserError(
                "the model was created outside the scope of the strategy: create it inside"
            )
        if batch_size not in (None, self.config.images_per_step):
            raise UserError(
                f"`batch_size` must be {self.config.images_per_step}, as in the config, not "
                f"{batch_size}"
            )
        if isinstance(x, tf.data.Dataset):
            if y is not None:
                raise UserError(
                    "`y` is for arrays: the labels of a dataset must be in its elements"
                )
            return super().fit(self.batches_of(x), epochs=epochs, shuffle=False, **others)
        check_images(x, y)
        self.check(x.shape[1:], y is not None)
        if y is not None and not (np.min(y) >= 0 and np.max(y) < len(self.classes)):
            raise UserError(
                f"`y` has labels from {np.min(y)} to {np.max(y)}, but there are "
                f"{len(self.classes)} classes, counted from 0"
            )
        others = {"steps_per_epoch": len(x) // self.config.images_per_step} | others
        taken = (epochs - others.get("initial_epoch", 0)) * others["steps_per_epoch"]
        start = int(self.gan.step.numpy())
        batches = make_batches(x, self.config, start, start + taken, labels=y)
        return super().fit(batches, epochs=epochs, shuffle=False, **others)

    def batches_of(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """The full batches of a dataset: images in [-1, 1], with labels for a conditional model.

        Raises:
            UserError: its elements don't fit the model, or they are too few.
        """
        images, labels, _ = keras.utils.unpack_x_y_sample_weight(dataset.element_spec)
        rank = getattr(images, "shape", tf.TensorShape(None)).rank
        if rank not in (3, 4):
            raise UserError(
                f"the dataset must have images [H, W, C], or batches of them, not {images}"
            )
        self.check(images.shape[rank - 3 :], labels is not None or not self.classes)
        size = self.config.images_per_step
        dataset = (dataset.rebatch if rank == 4 else dataset.batch)(size, drop_remainder=True)

        def as_batch(*element: Any) -> Any:
            images = scale(element[0]) if element[0].dtype == tf.uint8 else element[0]
            return (images, tf.cast(element[1], tf.int32)) if self.classes else images

        dataset = dataset.map(as_batch)
        first = next((batch for batch in dataset.take(1)), None)
        if first is None:
            raise UserError(f"the dataset has fewer images than the {size} that a step needs")
        values = first[0] if self.classes else first
        low, high = float(tf.reduce_min(values)), float(tf.reduce_max(values))
        if images.dtype not in (tf.uint8, tf.float32) or not -1 <= low < 0 < high <= 1:
            raise UserError(
                f"the dataset has images of {images.dtype.name}, its first batch from {low:g} to "
                f"{high:g}: they must be uint8 in [0, 255], or float32 in [-1, 1]"
            )
        return dataset

    def check(self, image_shape: tuple[int, ...], labeled: bool) -> None:
        """Rejects images of another shape, and images without labels for a conditional model.

        Raises:
            UserError: the images are rejected.
        """
        if tuple(image_shape) != self.image_shape:
            raise UserError(
                f"the images are {[*image_shape]}, but the model is for {[*self.image_shape]}"
            )
        if self.classes and not labeled:
            raise UserError(
                "a conditional model is trained on images with labels: pass them as `y`, or pass a "
                "dataset of (image, label)"
            )

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """One step of the config's algorithm."""
        images, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        for mean, value in zip(self.means, self.step_function(self.gan, images, labels).scalars):
            mean.update_state(value)
        return {mean.name: mean.result() for mean in self.means}

    def call(self, inputs: Any, training: bool = False) -> tf.Tensor:
        """Images from noise, [N, noise_dim], or from [noise, labels], never in training mode."""
        if self.classes:
            noise, labels = inputs
            one_hot = tf.one_hot(tf.cast(labels, tf.int32), len(self.classes))
            inputs = tf.concat([noise, one_hot], axis=1)
        return self.gan.sampling_generator(inputs, training=False)

    def get_config(self) -> dict[str, Any]:
        return {
            "config": dataclasses.asdict(self.config),
            "image_shape": self.image_shape,
            "classes": [[*self.classes.names], [*self.classes.counts]],
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> DCGAN:
        settings, shape = Config.from_file(config["config"]), tuple(config["image_shape"])
        return cls(settings, shape, Classes(*config["classes"]))

    def get_compile_config(self) -> dict[str, Any]:
        return {"steps_per_execution": self.steps_per_execution}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**config)

    @property
    def random_state(self) -> list[Any]:
        """The state, besides the seed, that determines the random numbers of the next step."""
        return [self.gan.step, *dropout_seeds(self.gan.discriminator)]

    def save_own_variables(self, store: Any) -> None:
        for index, variable in enumerate(self.random_state):
            store[str(index)] = np.asarray(variable)

    def load_own_variables(self, store: Any) -> None:
        for index, variable in enumerate(self.random_state):
            variable.assign(store[str(index)][()])
