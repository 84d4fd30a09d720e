import keras
import numpy as np
import pytest
import tensorflow as tf

from dcgan_tf.config import Config
from dcgan_tf.data import make_batches
from dcgan_tf.train_step import StepScalars
from dcgan_tf.training import Trainer, dropout_seeds


@pytest.fixture
def trainer(mnist):
    return Trainer(Config(batch_size=8, seed=3), mnist[:50, ..., np.newaxis])


def first_batch(trainer):
    return next(iter(make_batches(trainer.images, trainer.config, 0, 1)))


def adam(weight, gradient, moments, step, rate=1e-4, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    """Kingma & Ba, algorithm 1, with Keras's place for epsilon."""
    moments[0] = beta_1 * moments[0] + (1 - beta_1) * gradient
    moments[1] = beta_2 * moments[1] + (1 - beta_2) * gradient**2
    scaled = rate * np.sqrt(1 - beta_2**step) / (1 - beta_1**step)
    return weight - scaled * moments[0] / (np.sqrt(moments[1]) + epsilon)


def test_a_step_gives_what_the_history_keeps_in_its_order():
    assert StepOutput._fields[: len(StepScalars._fields)] == StepScalars._fields


def test_step_is_the_tutorials_worked_out_slowly(trainer, mnist):
    """Three steps against a reference: two passes in eager mode, losses and Adam in NumPy."""
    reference = Trainer(trainer.config, trainer.images)
    G, D = reference.gan.generator, reference.gan.discriminator
    models = {"G": G, "D": D}
    moments = {
        name: [[np.zeros(v.shape), np.zeros(v.shape)] for v in model.trainable_variables]
        for name, model in models.items()
    }
    for step, images in enumerate(make_batches(trainer.images, trainer.config, 0, 3)):
        output = trainer.train_step(images)

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

        assert float(output.scalars.gen_loss) == pytest.approx(float(losses["G"]), rel=1e-4)
        assert float(output.scalars.disc_loss) == pytest.approx(float(losses["D"]), rel=1e-4)
        assert float(output.scalars.d_real) == pytest.approx(
            float(tf.reduce_mean(d_real)), rel=1e-4
        )
        assert float(output.scalars.d_fake) == pytest.approx(
            float(tf.reduce_mean(d_fake)), rel=1e-4
        )
    for ours, theirs in ((trainer.gan.generator, G), (trainer.gan.discriminator, D)):
        for a, b in zip(ours.variables, theirs.variables):
            difference = np.abs(a.numpy() - b.numpy())
            # A weight moves by about 1e-4 a step; where its gradient is all but zero, Adam
            # follows the sign of a rounding error.
            assert np.mean(difference) < 2e-6, a.path
    assert int(trainer.step) == 3


def test_step_is_traced_once(trainer):
    for images in make_batches(trainer.images, trainer.config, 0, 8):
        trainer.train_step(images)
    assert trainer.train_step.experimental_get_tracing_count() == 1


def test_noise_differs_from_step_to_step_and_from_seed_to_seed(trainer):
    def fake_logits(step):
        trainer.step.assign(step)
        return trainer.train_step(first_batch(trainer)).fake_logits.numpy()

    assert not np.array_equal(fake_logits(0), fake_logits(1))


def test_same_seed_same_weights_and_another_seed_others(mnist):
    images = mnist[:50, ..., np.newaxis]
    a, b, c = (Trainer(Config(batch_size=8, seed=seed), images) for seed in (3, 3, 4))
    weights = [t.gan.generator.layers[0].kernel.numpy() for t in (a, b, c)]
    assert np.array_equal(weights[0], weights[1]) and not np.array_equal(weights[0], weights[2])


def test_sampling_leaves_the_state_alone(trainer):
    before = [v.numpy() for v in trainer.gan.generator.variables]
    assert np.array_equal(trainer.sample_grid(), trainer.sample_grid())
    assert all(np.array_equal(a, b) for a, b in zip(before, trainer.gan.generator.variables))


def test_state_holds_all_that_training_changes(trainer, tmp_path):
    def everything(t):
        holders = (
            t.gan.generator,
            t.gan.discriminator,
            t.gan.generator_optimizer,
            t.gan.discriminator_optimizer,
        )
        values = [v.numpy() for holder in holders for v in holder.variables]
        layers = t.gan.discriminator.layers
        dropouts = [x for x in layers if isinstance(x, keras.layers.Dropout)]
        return [*values, *(x.seed_generator.state.numpy() for x in dropouts), t.step.numpy()]

    for images in make_batches(trainer.images, trainer.config, 0, 2):
        trainer.train_step(images)
    prefix = trainer.state.write(str(tmp_path / "x"))
    other = Trainer(Config(batch_size=8, seed=9), trainer.images)
    assert not all(np.array_equal(a, b) for a, b in zip(everything(trainer), everything(other)))
    other.state.read(prefix).assert_consumed()
    # G: 4 kernels, 3 batch norms of 4. D: 3 kernels, 3 biases, 2 dropout seeds (listed twice).
    # Adam: 2 moments for each of 10 and 6 weights, a step and a rate each. And the step.
    assert len(everything(trainer)) == 16 + 8 + (20 + 2) + (12 + 2) + 2 + 1
    assert all(np.array_equal(a, b) for a, b in zip(everything(trainer), everything(other)))


def test_every_pass_through_the_discriminator_has_a_dropout_mask_of_its_own(trainer):
    for images in make_batches(trainer.images, trainer.config, 0, 3):
        trainer.train_step(images)
    # Each of 3 steps passes real images and generated ones; the layers' seeds are 3 and 4.
    assert [state.numpy().tolist() for state in dropout_seeds(trainer.gan.discriminator)] == [
        [3, 6],
        [4, 6],
    ]


def test_last_step_is_the_sooner_of_epochs_and_max_steps(mnist):
    def last_step(**settings):
        return Trainer(Config(batch_size=8, **settings), mnist[:50, ..., np.newaxis]).last_step

    assert last_step(epochs=3) == 18
    assert last_step(epochs=3, max_steps=7) == 7
    assert last_step(epochs=3, max_steps=70) == 18


@pytest.mark.parametrize("name", ["paper", "blocks", "upsample"])
def test_other_presets_train_and_keep_their_average(name, mnist):
    flags = {"preset": name, "batch_size": 8, "base_filters": 4, "ema_decay": 0.5, "image_size": 28}
    trainer = Trainer(Config.from_flags(flags), mnist[:50, ..., np.newaxis])
    before = trainer.gan.generator.get_weights()
    for images in make_batches(trainer.images, trainer.config, 0, 3):
        output = trainer.train_step(images)
    assert all(np.isfinite(value).all() for value in output)
    assert output.real_logits.shape == output.fake_logits.shape == (8, 1)
    after, average = trainer.gan.generator.get_weights(), trainer.gan.ema_generator.get_weights()
    assert not any(np.array_equal(a, b) for a, b in zip(before, after))
    assert not any(np.array_equal(a, b) for a, b in zip(after, average))
    assert np.array_equal(
        trainer.sample_grid(), trainer.gan.ema_generator(trainer.grid_noise, training=False)
    )


def test_learning_rates_of_their_own(mnist):
    config = Config(batch_size=8, learning_rate=1e-3, discriminator_learning_rate=4e-3)
    trainer = Trainer(config, mnist[:50, ..., np.newaxis])
    assert float(trainer.gan.generator_optimizer.learning_rate) == pytest.approx(1e-3)
    assert float(trainer.gan.discriminator_optimizer.learning_rate) == pytest.approx(4e-3)


def test_it_learns_real_digits(mnist):
    """After 60 steps, generated images are bright where digits are, and dark elsewhere."""
    config = Config(batch_size=32, learning_rate=1e-3, beta_1=0.5)
    trainer = Trainer(config, mnist[..., np.newaxis])
    real_mean = mnist[:5000].mean(axis=0) / 127.5 - 1

    def likeness():
        noise = tf.random.stateless_normal([64, 100], seed=[1, 2])
        mean = trainer.gan.generator(noise, training=True).numpy().mean(axis=(0, 3))
        return np.corrcoef(mean.ravel(), real_mean.ravel())[0, 1], mean[:4].mean()

    untrained = likeness()
    for images in make_batches(trainer.images, config, 0, 60):
        trainer.train_step(images)
    trained = likeness()
    assert abs(untrained[0]) < 0.3 and untrained[1] > -0.3
    assert trained[0] > 0.6 and trained[1] < -0.7
