import numpy as np

from dcgan_tf.config import Config
from dcgan_tf.discrimination import Pack, discriminate_jointly, discriminate_separately
from dcgan_tf.models import make_discriminator


def test_separate_and_joint_batches_differ_by_batch_norm_alone(mnist):
    """Without batch norm and dropout both give the same logits; with it, not the same."""
    real, fake = (mnist[i : i + 8, ..., np.newaxis] / np.float32(255) for i in (0, 8))
    for norm in (False, True):
        flags = {"preset": "paper", "base_filters": 4, "discriminator_batch_norm": norm}
        discriminator = make_discriminator(Config.from_flags(flags), (28, 28, 1))
        separate = discriminate_separately(discriminator, real, fake)
        joint = discriminate_jointly(discriminator, real, fake)
        same = [np.allclose(a, b, atol=1e-6) for a, b in zip(separate, joint)]
        assert same == [not norm] * 2
        assert np.allclose(separate[0], discriminator(real, training=True), atol=1e-6)


def test_pack_stacks_neighbours_as_channels():
    images = np.arange(4 * 2 * 2 * 3, dtype=np.float32).reshape(4, 2, 2, 3)
    packed = Pack(2)(images).numpy()
    assert packed.shape == (2, 2, 2, 6)
    assert np.array_equal(packed[1, ..., :3], images[2])
    assert np.array_equal(packed[1, ..., 3:], images[3])
