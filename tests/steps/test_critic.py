import numpy as np
import pytest

from tests.small import dense_trainer, train


def test_critic_takes_its_own_images_and_keeps_its_weights_clipped(mnist):
    trainer = dense_trainer(mnist, batch_size=4, loss="wasserstein", discriminator_steps=2)
    gan = trainer.gan
    train(trainer, 2)
    assert trainer.schedule.steps_per_epoch == 50 // 8
    assert int(gan.discriminator_optimizer.iterations) == 4
    assert int(gan.generator_optimizer.iterations) == trainer.step == 2
    weights = np.concatenate([w.ravel() for w in gan.discriminator.get_weights()])
    assert np.abs(weights).max() == pytest.approx(0.01)
    noises = []
    for step in (0, 1):
        gan.step.assign(step)
        noises += [gan.random.noise(update).numpy().tobytes() for update in range(3)]
    assert len(set(noises)) == 6


def test_penalty_trains_without_clipping(mnist):
    trainer = dense_trainer(mnist, loss="wasserstein", gradient_penalty=10.0, discriminator_steps=1)
    train(trainer, 1)
    assert max(np.abs(w).max() for w in trainer.gan.discriminator.get_weights()) > 0.02
