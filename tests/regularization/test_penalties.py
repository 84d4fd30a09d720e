"""Penalties against slopes that are known or worked out slowly, and as terms of the whole loss."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dcgan_tf.conditional.labels import Classes
from dcgan_tf.distributed.step_random import StepRandom
from dcgan_tf.gan import Gan
from dcgan_tf.regularization.pack import Pack
from dcgan_tf.regularization.penalties import (
    Critique,
    Penalty,
    gradient_penalty,
    lazily,
    r1_penalty,
    r2_penalty,
)
from dcgan_tf.settings.choices import PENALTIES
from tests.conftest import thorough
from tests.small import batches, dense_trainer, eagerly, make_trainer, record, train, values

INTERVAL = PENALTIES["r1_gamma"].interval
ANYWHERE = StepRandom(seed=0, batch_size=6, noise_dim=1).places(4, pack=1)
FACTOR = 2.0


def r1(discriminator, real):
    critique = Critique(discriminator, discriminator, ANYWHERE)
    return float(r1_penalty(critique, real, tf.zeros_like(real)))


def between(discriminator, real, fake, places=ANYWHERE):
    return float(gradient_penalty(Critique(discriminator, discriminator, places), real, fake))


def linear(images):
    return 3 * images[:, :, :, 0] + 4 * images[:, :, :, 1]


def test_r1_of_a_discriminator_whose_slope_is_known():
    """D(x) = 3·x₁ + 4·x₂ has the gradient (3, 4), of length 5, everywhere: 5² / 2 = 12.5."""
    images = tf.random.stateless_normal([6, 1, 1, 2], [1, 2])
    assert r1(linear, images) == pytest.approx(12.5)


def test_r2_is_the_same_of_the_generated_images_place():
    """D(x) = x² has the slope 2·x: 0 at real images of 0, 2·3 at generated ones of 3."""
    critique = Critique(lambda x: x[:, 0, 0] ** 2, lambda x: x[:, 0, 0] ** 2, ANYWHERE)
    real, fake = tf.zeros([6, 1, 1, 1]), 3 * tf.ones([6, 1, 1, 1])
    assert float(r1_penalty(critique, real, fake)) == 0
    assert float(r2_penalty(critique, real, fake)) == pytest.approx(6**2 / 2)
    critique = critique._replace(of_fake=lambda x: 0 * x[:, 0, 0])
    assert float(r2_penalty(critique, real, fake)) == 0


def test_the_output_of_an_auxiliary_classifier_is_not_penalized():
    images = tf.random.stateless_normal([6, 1, 1, 2], [1, 2])
    logits = lambda x: tf.reshape(linear(x), [6, 1])  # noqa: E731
    assert r1(lambda x: tf.concat([logits(x), x[:, 0, 0] ** 2], axis=1), images) == pytest.approx(
        12.5
    )


def test_r1_of_packs_is_the_mean_over_packs():
    """D(x, y) = 3·x₁ + 4·x₂ + 3·y₁ + 4·y₂ has a gradient of length √50: 50 / 2 = 25."""
    images = tf.random.stateless_normal([6, 1, 1, 2], [1, 2])
    pack = Pack(2)

    def discriminator(images):
        packs = pack(images)
        return linear(packs[..., :2]) + linear(packs[..., 2:])

    assert r1(discriminator, images) == pytest.approx(25)


def test_r1_is_of_the_real_images_place():
    """D(x) = x² / 2 in the real images' place has the slope x, and none in the others'."""
    critique = Critique(lambda images: images**2 / 2, tf.zeros_like, ANYWHERE)
    real = tf.fill([6, 1], 3.0)
    assert float(r1_penalty(critique, real, tf.fill([6, 1], 7.0))) == pytest.approx(4.5)


def test_gradient_penalty_of_a_critic_whose_gradient_is_known():
    """D(x) = 3·x₁ + 4·x₂ has the gradient (3, 4), of length 5, everywhere: (5 − 1)² = 16."""
    real, fake = tf.random.stateless_normal([2, 6, 1, 1, 2], [1, 2])
    assert between(linear, real, fake) == pytest.approx(16)


def test_gradient_penalty_is_taken_between_real_and_fake():
    """D(x) = x²/2 has the gradient x; between 2 and 4 that is 2 + 2u with u from 0 to 1."""
    real, fake = tf.fill([4000, 1], 2.0), tf.fill([4000, 1], 4.0)
    places = StepRandom(seed=0, batch_size=4000, noise_dim=1).places(2, pack=1)
    # The mean of (1 + 2u)² is 1 + 2 + 4/3.
    penalty = between(lambda images: images**2 / 2, real, fake, places)
    assert penalty == pytest.approx(13 / 3, rel=0.05)


def test_no_gradient_penalty_for_a_critic_of_packs_that_is_1_lipschitz():
    """D(x₁, x₂) = w·(x₁, x₂) with ‖w‖ = 1 has a gradient of length 1 with respect to a pack."""
    real, fake = tf.random.stateless_normal([2, 8, 4, 4, 1], [1, 2])
    weights = tf.random.stateless_normal([32, 1], [3, 4])
    weights /= tf.norm(weights)
    pack = Pack(2)
    places = StepRandom(seed=0, batch_size=8, noise_dim=1).places(4, pack=2)

    def critic(images):
        return tf.reshape(pack(images), [-1, 32]) @ weights

    assert between(critic, real, fake, places) == pytest.approx(0, abs=1e-9)


def test_a_pack_lies_at_one_point_between_real_and_generated_ones():
    """Points between packs of zeros and packs of ones: both images of a pack are the same."""
    seen = []

    def critic(images):
        seen.append(images)
        return tf.reshape(images, [4, -1])

    places = StepRandom(seed=0, batch_size=8, noise_dim=1).places(4, pack=2)
    between(critic, tf.zeros([8, 2, 2, 1]), tf.ones([8, 2, 2, 1]), places)
    points = seen[0][:, 0, 0, 0].numpy()
    np.testing.assert_array_equal(points[::2], points[1::2])
    assert len(set(points)) == 4 and 0 <= points.min() < points.max() < 1


def of_labels(penalty):
    """A GAN of 2×2 images with a penalty, whose D(x, label) = label · Σx / 2."""
    images, label = keras.Input((2, 2, 1)), keras.Input((), dtype="int32")
    brightness = keras.layers.Dense(1, use_bias=False)(keras.layers.Flatten()(images))
    times = keras.ops.cast(label, "float32")[:, None] / 2
    discriminator = keras.Model([images, label], brightness * times)
    discriminator.set_weights([np.ones([4, 1])])
    generator = keras.Sequential([keras.Input((1,)), keras.layers.Dense(4)])
    return Gan(
        generator,
        discriminator,
        keras.optimizers.Adam(),
        keras.optimizers.Adam(),
        StepRandom(0, 4, 1, classes=Classes(("cat", "dog"), (5, 5))),
        penalties=[Penalty(penalty, factor=1.0)],
    )


def test_labels_are_no_part_of_the_slope_and_are_the_real_ones():
    """With real images' label of 1, D has a slope of 1; a slope along the label would be more."""
    real, fake = tf.random.stateless_normal([2, 4, 2, 2, 1], [1, 2])
    labels = tf.ones([4], tf.int32), tf.fill([4], 7)
    assert float(of_labels(gradient_penalty).penalty(real, fake, *labels)) == pytest.approx(
        0, abs=1e-9
    )
    assert float(of_labels(r1_penalty).penalty(real, fake, *labels)) == pytest.approx(0.5)


@pytest.mark.parametrize("graph", [False, True])
def test_a_lazy_term_counts_where_it_is_due_and_is_not_computed_elsewhere(graph):
    """3·w² at w = 2, every fourth step: 4 · 12, with the derivative 4 · 6 · 2."""
    weight, computed = tf.Variable(2.0), tf.Variable(0, trainable=False)

    def term(weights):
        computed.assign_add(1)
        return 3 * weights[0] ** 2

    def value_and_slope(step):
        with tf.GradientTape() as tape:
            value = lazily(term, [tf.convert_to_tensor(weight)], step, 4)
        return value, tape.gradient(value, weight)

    taken = tf.function(value_and_slope) if graph else value_and_slope
    for step in (0, 4, 8):
        assert [float(each) for each in taken(tf.constant(step, tf.int64))] == [48, 48]
    before = int(computed)
    for step in (1, 3, 5):
        assert [float(each) for each in taken(tf.constant(step, tf.int64))] == [0, 0]
    assert int(computed) == before == 3


def slow_r1(discriminator, images):
    """R1 from the gradient of each image's own logit."""
    squares = []
    for image in images:
        with tf.GradientTape() as slope:
            slope.watch(image)
            logit = discriminator(image[tf.newaxis])
        squares.append(tf.norm(slope.gradient(logit, image)) ** 2)
    return 0.5 * sum(squares) / len(squares)


def step_gradients(trainer, images, step):
    """The discriminator's gradients in one step, taken without its graph."""
    _, disc_gradients = record(trainer.gan)
    trainer.gan.step.assign(step)
    eagerly(trainer)(images)
    return values(disc_gradients)


@pytest.mark.parametrize(
    "settings, due, times",
    [
        ({}, {0, INTERVAL}, INTERVAL),
        ({"reference": True}, {0, INTERVAL}, INTERVAL),
        ({"discriminator_steps": 2}, {0, INTERVAL}, INTERVAL),
        ({"unroll_steps": 1}, {0, 1, INTERVAL - 1, INTERVAL, INTERVAL + 1}, 1),
    ],
    ids=str,
)
def test_the_penalty_is_part_of_every_step_in_which_it_is_due(mnist, settings, due, times):
    """There, it adds what a slow reference does; where a step is unrolled, that is every step."""
    settings = {"dropout": 0.0, "precision": "float32", "convolutions": "native"} | settings
    plain, penalized = (
        dense_trainer(mnist, r1_gamma=factor, **settings) for factor in (None, FACTOR)
    )
    for trainer in (plain, penalized):
        hidden = trainer.gan.discriminator.layers[1]
        hidden.bias.assign(tf.linspace(-0.5, 0.5, hidden.bias.shape[0]))
    discriminator = penalized.gan.discriminator
    images = next(batches(plain))
    with tf.GradientTape() as tape:  # of the step's last update of the discriminator
        loss = times * FACTOR * slow_r1(discriminator, images[-8:])
    extra = tape.gradient(loss, discriminator.trainable_variables)
    assert extra.pop() is None  # of the last bias, which moves no slope
    assert all(np.abs(more).max() > 0 for more in extra[::2])  # the kernels'
    for step in (0, 1, INTERVAL - 1, INTERVAL, INTERVAL + 1):
        without, found = (step_gradients(each, images, step) for each in (plain, penalized))
        for a, b, more in zip(found, without, [*extra, 0], strict=True):
            if step in due:
                np.testing.assert_allclose(a, b + more, rtol=1e-3, atol=1e-5 * np.abs(a).max())
            else:
                np.testing.assert_array_equal(a, b)


def norm_trainer(mnist, **settings):
    """A trainer with R1, whose discriminator has batch norm between two dense layers."""
    settings = {"r1_gamma": FACTOR, "discriminator_batch_norm": True} | settings
    return dense_trainer(mnist, dropout=0.0, precision="float32", **settings)


def by_hand(weights, images, config, count):
    """Its logits, and ‖∇s‖² at each of the first images, by matrix products and calculus alone.

    s is the sum of the first `count` logits. With h = xW + b, n = (h − mean) / σ over the batch and
    a = leaky(γ·n + β), the derivative of s by h goes back through n by batch norm's formula.
    """
    kernel, bias, gamma, beta, last_kernel, last_bias = weights
    hidden = tf.reshape(images, [len(images), -1]) @ kernel + bias
    deviation = tf.sqrt(tf.math.reduce_variance(hidden, axis=0) + config.batch_norm_epsilon)
    normal = (hidden - tf.reduce_mean(hidden, axis=0)) / deviation
    scaled = gamma * normal + beta
    slope = tf.where(scaled > 0, tf.ones_like(scaled), config.negative_slope)
    logits = (slope * scaled) @ last_kernel + last_bias
    is_summed = tf.cast(tf.range(len(images)) < count, tf.float64)[:, tf.newaxis]
    by_normal = is_summed * slope * last_kernel[:, 0] * gamma
    by_hidden = (
        by_normal
        - tf.reduce_mean(by_normal, axis=0)
        - normal * tf.reduce_mean(by_normal * normal, axis=0)
    ) / deviation
    return logits, tf.reduce_sum((by_hidden @ tf.transpose(kernel)) ** 2, axis=1)[:count]


@pytest.mark.parametrize("batch", ["separate", "joint"])
@pytest.mark.parametrize("step", [INTERVAL, INTERVAL + 1])
def test_gradient_of_the_whole_loss_is_the_same_in_a_graph_eagerly_and_by_hand(mnist, batch, step):
    """With batch norm, of whose second derivative the gradient of `tf.cond` has parts alone."""
    trainer = norm_trainer(mnist, discriminator_batch=batch)
    config, gan, images = trainer.config, trainer.gan, next(batches(trainer))
    shake(gan.discriminator)
    _, gradients = record(gan)
    gan.step.assign(step)
    fake = gan.generator(gan.random.noise(), training=True)
    found = []
    for take in (trainer.train_step, eagerly(trainer)):
        gan.step.assign(step)
        found.append([take(images).scalars.disc_loss.numpy(), *values(gradients)])

    weights = [tf.cast(each, tf.float64) for each in gan.discriminator.trainable_variables]
    real, fake = (tf.cast(each, tf.float64) for each in (images, fake))
    with tf.GradientTape() as tape:
        tape.watch(weights)
        if batch == "joint":
            both, squares = by_hand(weights, tf.concat([real, fake], axis=0), config, 8)
            real_logits, fake_logits = tf.split(both, 2)
        else:
            real_logits, squares = by_hand(weights, real, config, 8)
            fake_logits, _ = by_hand(weights, fake, config, 8)
        loss = tf.reduce_mean(tf.math.softplus(-real_logits) + tf.math.softplus(fake_logits))
        if step == INTERVAL:
            loss += INTERVAL * FACTOR / 2 * tf.reduce_mean(squares)
    expected = values([loss, *tape.gradient(loss, weights)])
    for each in found:
        assert_close(each, expected)


def shake(model):
    """Moves every weight, so that none has the value of its kind: no bias is 0, no scale 1."""
    rng = np.random.default_rng(0)
    for weight in model.trainable_variables:
        weight.assign(weight + rng.uniform(-0.3, 0.3, weight.shape))


def assert_close(found, expected):
    """Whether values are the same, up to rounding of the largest."""
    noise = 1e-5 * max(np.abs(each).max() for each in expected)
    for value, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-3, atol=noise)


@pytest.mark.parametrize("batch", ["separate", "joint"])
def test_the_penalty_is_of_the_function_that_is_trained(mnist, batch):
    """In a joint batch, that is the one which generated images are a part of."""
    gan = norm_trainer(mnist, discriminator_batch=batch).gan
    shake(gan.discriminator)
    real = tf.constant(mnist[:8, ..., np.newaxis] / np.float32(127.5) - 1)
    fake = gan.generator(gan.random.noise(), training=True)
    averages = values(gan.discriminator.non_trainable_variables)
    assert len(averages) == 2
    penalties = [gan.penalty(real, fake), tf.function(gan.penalty)(real, fake)]
    for average, before in zip(gan.discriminator.non_trainable_variables, averages):
        np.testing.assert_array_equal(average, before)

    for images in (fake, -fake):
        with tf.GradientTape() as tape:
            tape.watch(real)
            real_logits, _ = gan.discriminate(real, images)
        slopes = tape.gradient(real_logits, real)
        expected = INTERVAL * FACTOR / 2 * np.square(slopes).sum((1, 2, 3)).mean()
        if images is fake:
            assert [float(each) for each in penalties] == pytest.approx([expected] * 2, rel=1e-4)
    is_same = float(penalties[0]) == pytest.approx(expected, rel=1e-4)
    assert is_same == (batch == "separate")  # with other generated images
    for average, before in zip(gan.discriminator.non_trainable_variables, averages):
        assert not np.array_equal(average, before)  # the passes of the loss do move them


def test_a_step_with_a_penalty_moves_averages_as_one_without(mnist):
    ends = []
    for factor in (FACTOR, None):
        trainer = norm_trainer(mnist, r1_gamma=factor)
        eagerly(trainer)(next(batches(trainer)))
        ends.append(values(trainer.gan.discriminator.non_trainable_variables))
    for with_penalty, without in zip(*ends, strict=True):
        np.testing.assert_array_equal(with_penalty, without)


def test_an_unrolled_step_with_it_and_batch_norm_is_the_same_in_a_graph(mnist):
    trainer = norm_trainer(mnist, unroll_steps=2)
    gan, images, found = trainer.gan, next(batches(trainer)), []
    shake(gan.discriminator)
    gen_gradients, disc_gradients = record(gan)
    for take in (trainer.train_step, eagerly(trainer)):
        gan.step.assign(0)
        output = take(images).scalars
        found.append([output.gen_loss, output.disc_loss, *values(gen_gradients + disc_gradients)])
    assert_close(*found)


def test_the_unrolled_discriminator_is_the_one_that_the_step_leads_to(mnist):
    """Looking one step ahead, the generator meets the discriminator with its penalty updated."""
    trainer = norm_trainer(mnist, unroll_steps=1, learning_rate=1e-2)
    gan = trainer.gan
    fake = gan.generator(gan.random.noise(), training=True)
    scalars = eagerly(trainer)(next(batches(trainer))).scalars
    expected = gan.generator_loss(None, gan.discriminator(fake, training=True))
    assert float(scalars.gen_loss) == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize(
    "settings",
    [
        {"discriminator_batch_norm": True, "discriminator_steps": 2},
        {"discriminator_batch_norm": True, "precision": "float16"},
        {"pack": 2, "augment": "color,translation,cutout", "loss": "hinge"},
        {"loss": "relativistic", "r2_gamma": 1.0, "discriminator_batch": "joint"}
        | {"discriminator_batch_norm": True},
        *thorough(
            {"discriminator_steps": 2},
            {"loss": "wasserstein", "weight_clip": 0.01, "discriminator_steps": 2},
            {"precision": "float16"},
            {"precision": "float16", "discriminator_steps": 2, "discriminator_batch_norm": True},
            {"discriminator_batch": "joint", "unroll_steps": 2},
        ),
    ],
    ids=str,
)
def test_every_step_trains_with_it(mnist, settings):
    train(dense_trainer(mnist, r1_gamma=1.0, **settings), INTERVAL + 1)


@pytest.mark.parametrize(
    "settings",
    [
        {"preset": "blocks"},
        *thorough(
            {},
            {"preset": "blocks", "jit_compile": True},
            {"preset": "upsample", "precision": "bfloat16"},
            {"convolutions": "subpixel", "base_filters": 64, "mapping_layers": 2},
            {"preset": "paper", "image_size": 28, "unroll_steps": 2},
            {"preset": "paper", "image_size": 28, "precision": "float16"},
            {"preset": "paper", "image_size": 28, "discriminator_steps": 2},
        ),
    ],
    ids=str,
)
def test_convolutions_train_with_it(mnist, settings):
    train(make_trainer(mnist, r1_gamma=1.0, **settings), INTERVAL + 1)
