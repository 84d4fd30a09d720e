import numpy as np

from dcgan_tf.regularization.pack import Pack

IMAGES = np.arange(4 * 2 * 2 * 3, dtype=np.float32).reshape(4, 2, 2, 3)


def test_pack_stacks_neighbors_as_channels():
    packed = Pack(2)(IMAGES).numpy()
    assert packed.shape == (2, 2, 2, 6)
    assert np.array_equal(packed[1, ..., :3], IMAGES[2])
    assert np.array_equal(packed[1, ..., 3:], IMAGES[3])
