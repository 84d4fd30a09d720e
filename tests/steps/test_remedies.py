import keras
import numpy as np
import pytest
import tensorflow as tf
from dcgan_tf.steps.XX import gradient_penalty, unroll, unrolled_step, with_weights

from dcgan_tf.config import Config
from dcgan_tf.data import make_batches
from dcgan_tf.training import Trainer

SEED = tf.constant([0, 0], tf.int64)


def test_penalty_of_a_critic_whose_gradient_is_known():
    """D(x) = 3·x₁ + 4·x₂ has the gradient (3, 4), of length 5, everywhere: (5 − 1)² = 16."""
    real, fake = tf.random.stateless_normal([2, 6, 2], [1, 2])

    def critic(images, training):
        return 3 * images[:, :1] + 4 * images[:, 1:]

    assert float(gradient_penalty(critic, real, fake, SEED)) == pytest.approx(16)


def test_penalty_is_taken_between_real_and_fake():
    """D(x) = x²/2 has the gradient x; between 2 and 4 that is 2 + 2u with u from 0 to 1."""
    real, fake = tf.fill([4000, 1], 2.0), tf.fill([4000, 1], 4.0)
    penalty = gradient_penalty(lambda images, training: images**2 / 2, real, fake, SEED)
    # The mean of (1 + 2u)² is 1 + 2 + 4/3.
    assert float(penalty) == pytest.approx(13 / 3, rel=0.05)


def test_unrolled_weights_are_those_of_the_optimizer_itself():
    """Each of the weights goes its own way; the optimizer has taken two steps before."""
    target = tf.constant([1.0, -2.0, 0.5])
    variable = tf.Variable([0.0, 0.0, 3.0])
    optimizer = keras.optimizers.Adam(0.1, beta_1=0.5)
    optimizer.build([variable])

    def loss_of(weights):
        return tf.reduce_sum((weights[0] - target) ** 2)

    def real_step():
        with tf.GradientTape() as tape:
            loss = loss_of([variable])
        optimizer.apply_gradients([(tape.gradient(loss, variable), variable)])

    real_step()
    real_step()
    before = variable.numpy()
    (ahead,) = unroll(loss_of, optimizer, [variable], 3)
    assert np.array_equal(variable, before) and int(optimizer.iterations) == 2
    for _ in range(3):
        real_step()
    np.testing.assert_allclose(ahead, variable, rtol=1e-5)


def test_gradient_goes_back_through_the_updates():
    """One weight w, loss (w·x − 1)², one update of Adam from rest: solved on paper.

    The gradient is g = 2·x·(w·x − 1). From rest, Adam's first update is −rate·g / (|g| + e) with
    e = epsilon / sqrt(1 − beta_2), whose derivative by g is −rate·e / (|g| + e)². So the derivative
    by x of the new weight is −rate·e / (|g| + e)² · (4·w·x − 2).
    """
    rate, epsilon, beta_2 = 0.1, 0.5, 0.999
    optimizer = keras.optimizers.Adam(rate, beta_1=0.9, beta_2=beta_2, epsilon=epsilon)
    weight, x = tf.Variable(2.0), tf.constant(3.0)
    optimizer.build([weight])
    with tf.GradientTape() as tape:
        tape.watch(x)
        (ahead,) = unroll(lambda weights: (weights[0] * x - 1) ** 2, optimizer, [weight], 1)
    g, e = 2 * 3 * (2 * 3 - 1), epsilon / np.sqrt(1 - beta_2)
    assert float(ahead) == pytest.approx(2 - rate * g / (g + e), rel=1e-4)
    slope = -rate * e / (g + e) ** 2 * (4 * 2 * 3 - 2)
    assert float(tape.gradient(ahead, x)) == pytest.approx(slope, rel=1e-3)


def test_model_with_other_weights_leaves_its_own_alone():
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.set_weights([np.array([[2.0]]), np.array([1.0])])
    other = with_weights(model, [tf.constant([[5.0]]), tf.constant([0.0])])
    assert float(other(tf.constant([[3.0]]), training=True)[0, 0]) == 15
    assert float(model(tf.constant([[3.0]]))[0, 0]) == 7


def train(mnist, steps, **flags):
    config = Config.from_flags({"batch_size": 4, "base_filters": 4, **flags})
    trainer = Trainer(config, mnist[:50, ..., np.newaxis])
    before = [model.get_weights() for model in (trainer.gan.generator, trainer.gan.discriminator)]
    outputs = [trainer.train_step(x) for x in make_batches(trainer.images, config, 0, steps)]
    assert all(np.isfinite(value).all() for output in outputs for value in output)
    for model, weights in zip((trainer.gan.generator, trainer.gan.discriminator), before):
        kernels = [(a, b) for a, b in zip(model.get_weights(), weights) if a.ndim > 1]
        assert not any(np.array_equal(a, b) for a, b in kernels)
    return trainer


@pytest.mark.parametrize("loss", ["minimax", "least_squares", "hinge"])
def test_losses_train(mnist, loss):
    train(mnist, 2, loss=loss)


def test_critic_takes_its_own_images_and_keeps_its_weights_clipped(mnist):
    trainer = train(mnist, 2, loss="wasserstein", discriminator_steps=2)
    assert trainer.steps_per_epoch == 50 // 8
    assert int(trainer.gan.discriminator_optimizer.iterations) == 4
    assert int(trainer.gan.generator_optimizer.iterations) == int(trainer.step) == 2
    weights = np.concatenate([w.ravel() for w in trainer.gan.discriminator.get_weights()])
    assert np.abs(weights).max() == pytest.approx(0.01)
    noises = []
    for step in (0, 1):
        trainer.step.assign(step)
        noises += [trainer.gan.noise(index).numpy().tobytes() for index in range(3)]
    assert len(set(noises)) == 6


def test_penalty_trains_without_clipping(mnist):
    trainer = train(mnist, 1, loss="wasserstein", gradient_penalty=10.0, discriminator_steps=1)
    assert max(np.abs(w).max() for w in trainer.gan.discriminator.get_weights()) > 0.02


def test_unrolled_step_with_batch_norm_moves_the_discriminator_once(mnist):
    trainer = train(mnist, 2, preset="paper", unroll_steps=2, image_size=28)
    assert int(trainer.gan.discriminator_optimizer.iterations) == 2


def test_unrolling_changes_the_generators_update_and_not_the_discriminators(mnist):
    plain, ahead = (train(mnist, 1, unroll_steps=steps, dropout=0.0) for steps in (0, 2))
    for a, b in zip(plain.gan.discriminator.get_weights(), ahead.discriminator.get_weights()):
        np.testing.assert_allclose(a, b, atol=1e-7)
    pairs = zip(plain.gan.generator.get_weights(), ahead.generator.get_weights())
    assert any(np.abs(a - b).max() > 1e-5 for a, b in pairs)


def test_unrolled_minimax_is_the_zero_sum_game(mnist):
    config = Config(batch_size=4, base_filters=4, dropout=0.0, loss="minimax", unroll_steps=0)
    trainer = Trainer(config, mnist[:50, ..., np.newaxis])
    images = next(iter(make_batches(trainer.images, config, 0, 1)))
    output = unrolled_step(trainer, images)
    assert float(output.scalars.gen_loss) == pytest.approx(
        -float(output.scalars.disc_loss), rel=1e-6
    )
    # Looking no step ahead, its gradient is that of minimax as it is: the same update.
    usual = Trainer(config, mnist[:50, ..., np.newaxis])
    usual.train_step(images)
    for a, b in zip(trainer.gan.generator.get_weights(), usual.generator.get_weights()):
        np.testing.assert_allclose(a, b, atol=2e-6)


def test_packing_trains(mnist):
    trainer = train(mnist, 2, pack=2, discriminator_batch="joint")
    output = trainer.train_step(tf.zeros([4, 28, 28, 1]))
    assert output.real_logits.shape == output.fake_logits.shape == (2, 1)
