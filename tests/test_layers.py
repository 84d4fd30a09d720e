import keras
import numpy as np

from dcgan_tf.layers import Pack, repeat_for_pack

IMAGES = np.arange(4 * 2 * 2 * 3, dtype=np.float32).reshape(4, 2, 2, 3)


def test_pack_stacks_neighbours_as_channels():
    packed = Pack(2)(IMAGES).numpy()
    assert packed.shape == (2, 2, 2, 6)
    assert np.array_equal(packed[1, ..., :3], IMAGES[2])
    assert np.array_equal(packed[1, ..., 3:], IMAGES[3])


def test_images_are_repeated_for_a_model_that_packs_and_for_no_other():
    packs = keras.Sequential([keras.layers.Input((2, 2, 3)), Pack(2)])
    repeated = np.asarray(repeat_for_pack(packs, IMAGES))
    assert np.array_equal(repeated, IMAGES[[0, 0, 1, 1, 2, 2, 3, 3]])
    plain = keras.Sequential([keras.layers.Input((2, 2, 3)), keras.layers.Flatten()])
    assert repeat_for_pack(plain, IMAGES) is IMAGES
