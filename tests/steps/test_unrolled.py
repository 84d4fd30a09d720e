import keras
import numpy as np
import pytest
import tensorflow as tf

from dcgan_tf.regularization.penalties import with_weights
from dcgan_tf.steps.unrolled import unroll, unrolled_step
from tests.small import batches, dense_trainer, make_trainer, train


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


def test_unrolled_step_with_batch_norm_moves_the_discriminator_once(mnist):
    trainer = make_trainer(mnist, batch_size=4, preset="paper", unroll_steps=2, image_size=28)
    train(trainer, 2)
    assert int(trainer.gan.discriminator_optimizer.iterations) == 2


def test_unrolling_changes_the_generators_update_and_not_the_discriminators(mnist):
    plain, ahead = (dense_trainer(mnist, unroll_steps=steps, dropout=0.0) for steps in (0, 2))
    for trainer in (plain, ahead):
        train(trainer, 1)
    pairs = zip(plain.gan.discriminator.get_weights(), ahead.gan.discriminator.get_weights())
    for a, b in pairs:
        np.testing.assert_allclose(a, b, atol=1e-7)
    pairs = zip(plain.gan.generator.get_weights(), ahead.gan.generator.get_weights())
    assert any(np.abs(a - b).max() > 1e-5 for a, b in pairs)


def test_unrolled_minimax_is_the_zero_sum_game(mnist):
    trainer, usual = (dense_trainer(mnist, dropout=0.0, loss="minimax") for _ in range(2))
    images = next(batches(trainer))
    scalars = unrolled_step(trainer.gan, images, unroll_steps=0, zero_sum=True).scalars
    assert float(scalars.gen_loss) == pytest.approx(-float(scalars.disc_loss), rel=1e-6)
    # Looking no step ahead, its gradient is that of minimax as it is: the same update.
    usual.train_step(images)
    for a, b in zip(trainer.gan.generator.get_weights(), usual.gan.generator.get_weights()):
        np.testing.assert_allclose(a, b, atol=2e-6)
