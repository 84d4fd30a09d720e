import pytest

from tests.small import batches, dense_trainer, eagerly

JOINT = {
    "discriminator_batch": "joint",
    "discriminator_batch_norm": True,
    "dropout": 0.0,
    "discriminator_learning_rate": 1e-30,  # so that no update of the discriminator counts
}


@pytest.mark.parametrize("algorithm", [{"unroll_steps": 1}, {"weight_clip": 100.0}])
def test_the_generators_logits_come_from_the_joint_batch_in_every_step(
    mnist, algorithm, monkeypatch
):
    # No graph is made here.
    monkeypatch.setattr("dcgan_tf.steps.make_step.onednn_is_on", lambda: False)
    losses = []
    for settings in (
        JOINT,
        JOINT | algorithm,
        JOINT | algorithm | {"discriminator_batch": "separate"},
    ):
        trainer = dense_trainer(mnist, **settings)
        noise = trainer.gan.random.noise()
        trainer.gan.random.noise = lambda update=0, noise=noise: noise
        output = eagerly(trainer)(next(batches(trainer)))
        losses.append(float(output.scalars.gen_loss))
    plain, joint, separate = losses
    assert joint == pytest.approx(plain, rel=1e-4)
    assert abs(separate - plain) > 1e-3 * plain
