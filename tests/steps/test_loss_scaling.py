import numpy as np
import pytest

from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from tests.small import batches, make_trainer


def test_an_update_that_overflows_is_left_out_and_lowers_the_scale(mnist, tmp_path):
    trainer = make_trainer(mnist, precision="float16")
    optimizer = trainer.gan.discriminator_optimizer
    optimizer.dynamic_scale.assign(2.0**60)
    before = trainer.gan.discriminator.get_weights()
    scalars = trainer.train_step(next(batches(trainer))).scalars
    assert float(scalars.disc_gradient_norm) == 0 and float(scalars.gen_gradient_norm) > 0
    assert float(optimizer.dynamic_scale) == 2.0**59
    for value, wanted in zip(trainer.gan.discriminator.get_weights(), before):
        np.testing.assert_array_equal(value, wanted)
    prefix = trainer.state.write(str(tmp_path / "state"))
    other = make_trainer(mnist, precision="float16", seed=1)
    other.state.read(prefix).assert_consumed()
    assert float(other.gan.discriminator_optimizer.dynamic_scale) == 2.0**59


def test_it_goes_with_the_plain_step_only():
    with pytest.raises(UserError, match="--precision float16 scales its losses"):
        Config(precision="float16", unroll_steps=2)
