"""The tutorial's step against a slow reference, and with each setting."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dcgan_tf.fast import keras_layers as fast_layers
from dcgan_tf.settings.config import Config
from dcgan_tf.train_step import gradient_norm, step_output
from dcgan_tf.training import Trainer, dropout_seeds
from tests.small import batches, dense_trainer, flat, make_trainer, train

CRITIC = {"loss": "wasserstein", "gradient_penalty": 10.0}


def adam(weight, gradient, moments, step, rate=1e-4, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    """Kingma & Ba, algorithm 1, with Keras's place for epsilon."""
    moments[0] = beta_1 * moments[0] + (1 - beta_1) * gradient
    moments[1] = beta_2 * moments[1] + (1 - beta_2) * gradient**2
    scaled = rate * np.sqrt(1 - beta_2**step) / (1 - beta_1**step)
    return weight - scaled * moments[0] / (np.sqrt(moments[1]) + epsilon)


def test_step_is_the_tutorials_worked_out_slowly(trainer):
    """Three steps against a reference: two passes in eager mode, losses and Adam in NumPy."""
    reference = Trainer(trainer.config, trainer.images)
    G, D = reference.gan.generator, reference.gan.discriminator
    models = {"G": G, "D": D}
    moments = {
        name: [[np.zeros(v.shape), np.zeros(v.shape)] for v in model.trainable_variables]
        for name, model in models.items()
    }
    for step, images in enumerate(batches(trainer, 3)):
        scalars = trainer.train_step(images).scalars

        noise = tf.random.stateless_normal([8, 100], seed=[3, step])
        with tf.GradientTape(persistent=True) as tape:
            fake = G(noise, training=True)
            real_logits, fake_logits = D(images, training=True), D(fake, training=True)
            d_real, d_fake = tf.sigmoid(real_logits), tf.sigmoid(fake_logits)
            losses = {
                "G": -tf.reduce_mean(tf.math.log(d_fake)),
                "D": -tf.reduce_mean(tf.math.log(d_real)) - tf.reduce_mean(tf.math.log(1 - d_fake)),
            }
        gradients = {n: tape.gradient(losses[n], m.trainable_variables) for n, m in models.items()}
        for name, model in models.items():
            for i, variable in enumerate(model.trainable_variables):
                gradient = gradients[name][i].numpy().astype(np.float64)
                variable.assign(adam(variable.numpy(), gradient, moments[name][i], step + 1))

        for found, wanted in (
            (scalars.gen_loss, losses["G"]),
            (scalars.disc_loss, losses["D"]),
            (scalars.d_real, tf.reduce_mean(d_real)),
            (scalars.d_fake, tf.reduce_mean(d_fake)),
        ):
            assert float(found) == pytest.approx(float(wanted), rel=1e-4)
    for ours, theirs in ((trainer.gan.generator, G), (trainer.gan.discriminator, D)):
        for a, b in zip(ours.variables, theirs.variables):
            difference = np.abs(a.numpy() - b.numpy())
            # A weight moves by about 1e-4 a step; where its gradient is all but zero, Adam
            # follows the sign of a rounding error.
            assert np.mean(difference) < 2e-6, a.path
    assert trainer.step == 3


def test_noise_differs_from_step_to_step(traced_trainer):
    trainer, start = traced_trainer

    def fake_logits(step):
        trainer.state.read(start).assert_consumed()
        trainer.gan.step.assign(step)
        return trainer.train_step(next(batches(trainer))).fake_logits.numpy()

    assert not np.array_equal(fake_logits(0), fake_logits(1))


def test_every_pass_through_the_discriminator_has_a_dropout_mask_of_its_own(trainer):
    for images in batches(trainer, 3):
        trainer.train_step(images)
    # Each of 3 steps passes real images and generated ones; the run's seed is 3.
    assert [state.numpy().tolist() for state in dropout_seeds(trainer.gan.discriminator)] == [
        [4, 6],
        [5, 6],
    ]


@pytest.mark.parametrize(
    ("settings", "draws"),
    [
        # Two steps of three noises and two places between; each mask is drawn by a pass through D.
        (CRITIC | {"discriminator_steps": 2, "noise": "uniform", "flip": True}, 2 * (5 + 2 * 7)),
        # A noise and two kinds of augmentation of either batch; three blocks have masks, one old.
        ({"augment": "color,cutout", "init_from": "other", "fade_in": 4}, 2 * (1 + 4 + 3 * 2)),
        # A noise; D's own update and two ahead see both batches, G's the generated one. Two masks.
        ({"unroll_steps": 2}, 2 * (1 + (3 * 2 + 1) * 2)),
    ],
    ids=["critic", "augmented, growing", "unrolled"],
)
def test_no_two_draws_are_equal(mnist, monkeypatch, settings, draws):
    trainer = make_trainer(mnist, **settings)
    steps = batches(trainer)
    drawn = []

    def spy_on(place, name):
        draw = getattr(place, name)

        def spy(shape, seed, *args, **kwargs):
            drawn.append(tuple(np.ravel(seed).tolist()))
            return draw(shape, seed, *args, **kwargs)

        monkeypatch.setattr(place, name, spy)

    for place, name in (
        (tf.random, "stateless_uniform"),
        (tf.random, "stateless_normal"),
        (fast_layers, "random_bits"),
    ):
        spy_on(place, name)
    images = [next(steps), next(steps)]
    tf.config.run_functions_eagerly(True)
    try:
        for batch in images:
            trainer.train_step(batch)
    finally:
        tf.config.run_functions_eagerly(False)
    assert len(drawn) == len(set(drawn)) == draws


@pytest.mark.parametrize("loss", ["minimax", "least_squares", "hinge"])
def test_losses_train(mnist, loss):
    train(dense_trainer(mnist, batch_size=4, loss=loss), 2, graph=False)


def test_packing_trains(mnist):
    trainer = dense_trainer(mnist, batch_size=4, pack=2, discriminator_batch="joint")
    output = train(trainer, 2, graph=False)
    assert output.real_logits.shape == output.fake_logits.shape == (2, 1)


@pytest.mark.parametrize("name", ["paper", "blocks", "upsample"])
def test_other_presets_train_and_keep_their_average(name, mnist):
    trainer = make_trainer(mnist, preset=name, ema_decay=0.5, image_size=28)
    gan = trainer.gan
    before = gan.generator.get_weights()
    output = train(trainer, 3)
    assert output.real_logits.shape == output.fake_logits.shape == (8, 1)
    after, average = gan.generator.get_weights(), gan.ema_generator.get_weights()
    assert not any(np.array_equal(a, b) for a, b in zip(before, after))
    assert not any(np.array_equal(a, b) for a, b in zip(after, average))
    drawn = gan.ema_generator(trainer.grid_noise, training=False)
    assert np.array_equal(trainer.sample_grid(), drawn)


@pytest.fixture(scope="module")
def scalars_in_float32(mnist):
    """Those of the first three steps."""
    trainer = make_trainer(mnist, precision="float32")
    return [trainer.train_step(images).scalars for images in batches(trainer, 3)]


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_computes_in_it_and_keeps_weights_and_results_in_float32(
    mnist, scalars_in_float32, precision
):
    half = make_trainer(mnist, precision=precision)
    for model in (half.gan.generator, half.gan.discriminator):
        assert {layer.compute_dtype for layer in model.layers[:-1]} == {precision}
        assert model.layers[-1].compute_dtype == "float32"
        assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
    assert half.gan.generator(half.grid_noise).dtype == tf.float32
    assert keras.config.dtype_policy().name == "float32"
    for images, wanted in zip(batches(half, 3), scalars_in_float32, strict=True):
        found = half.train_step(images).scalars
        for name in ("gen_loss", "disc_loss", "d_fake", "disc_gradient_norm", "spread"):
            expected = pytest.approx(float(getattr(wanted, name)), rel=0.05)
            assert float(getattr(found, name)) == expected


@pytest.mark.parametrize("settings", [{}, {"discriminator_steps": 2}], ids=str)
def test_an_update_that_overflows_is_left_out_and_lowers_the_scale(mnist, tmp_path, settings):
    trainer = dense_trainer(mnist, precision="float16", **settings)
    optimizer = trainer.gan.discriminator_optimizer
    optimizer.dynamic_scale.assign(2.0**60)
    before = trainer.gan.discriminator.get_weights()
    scalars = trainer.train_step(next(batches(trainer))).scalars
    assert float(scalars.disc_gradient_norm) == 0 and float(scalars.gen_gradient_norm) > 0
    lowered = 2.0 ** (60 - trainer.config.discriminator_steps)
    assert float(optimizer.dynamic_scale) == lowered
    for value, wanted in zip(trainer.gan.discriminator.get_weights(), before):
        np.testing.assert_array_equal(value, wanted)
    prefix = trainer.state.write(str(tmp_path / "state"))
    other = dense_trainer(mnist, precision="float16", seed=1, **settings)
    other.state.read(prefix).assert_consumed()
    assert float(other.gan.discriminator_optimizer.dynamic_scale) == lowered


def test_compiled_step_computes_the_same_from_the_same_noise(mnist):
    """XLA draws other random numbers, so the noise is given and there is no dropout."""
    results = []
    for jit_compile in (False, True):
        trainer = make_trainer(mnist, dropout=0.0, jit_compile=jit_compile)
        trainer.gan.random.noise = lambda: tf.linspace(tf.fill([100], -1.0), tf.ones([100]), 8)
        results.append(flat(trainer.train_step(next(batches(trainer)))))
    for found, wanted in zip(*results):
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-5)


def test_it_learns_real_digits(mnist):
    """After 60 steps, generated images are bright where digits are, and dark elsewhere."""
    config = Config(base_filters=32, batch_size=32, learning_rate=1e-3, beta_1=0.5)
    trainer = Trainer(config, mnist[..., np.newaxis])
    real_mean = mnist[:5000].mean(axis=0) / 127.5 - 1

    def likeness():
        noise = tf.random.stateless_normal([64, 100], seed=[1, 2])
        mean = trainer.gan.generator(noise, training=True).numpy().mean(axis=(0, 3))
        return np.corrcoef(mean.ravel(), real_mean.ravel())[0, 1], mean[:4].mean()

    untrained = likeness()
    for images in batches(trainer, 60):
        trainer.train_step(images)
    trained = likeness()
    assert abs(untrained[0]) < 0.3 and untrained[1] > -0.3
    assert trained[0] > 0.6 and trained[1] < -0.7


def test_scalars_by_hand():
    real = tf.constant([[0.0, 0.0], [2.0, 4.0]])
    fake = tf.constant([[1.0, 1.0], [1.0, 2.0]])
    logits = (tf.constant([[0.0], [100.0]]), tf.constant([[-100.0], [0.0]]))
    losses = (tf.constant(0.25), tf.constant(0.75))
    adam = keras.optimizers.Adam()
    gradients = ([tf.constant([3.0]), tf.constant([[4.0]])], [real])
    norms = tuple(gradient_norm(each, adam) for each in gradients)
    output = step_output((real, fake), logits, losses, norms)
    # Real pixels have standard deviations of 1 and 2, generated ones of 0 and 1/2.
    expected = [0.25, 0.75, 0.75, 0.25, 5, 20**0.5, 0.25 / 1.5]
    assert [float(scalar) for scalar in output.scalars] == pytest.approx(expected)
    for found, wanted in zip(output[1:], logits):
        np.testing.assert_array_equal(found, wanted)
    with_classifier = [tf.concat([each, each + 3], axis=1) for each in logits]
    same = step_output((real, fake), tuple(with_classifier), losses, norms)
    assert [float(scalar) for scalar in same.scalars] == pytest.approx(expected)
    np.testing.assert_array_equal(same.fake_logits, logits[1])
    constant = step_output((real * 0, fake), logits, losses, norms)
    assert np.isnan(constant.scalars.spread)
