import keras
import numpy as np
import tensorflow as tf

from dcgan_tf.gan import make_ema_generator, update_ema


def test_average_follows_by_hand_worked_numbers():
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.set_weights([np.array([[0.0]]), np.array([8.0])])
    average = make_ema_generator(model)
    model.set_weights([np.array([[1.0]]), np.array([8.0])])
    # Step 0: the decay is warmed up to 1/10 only. Step 1: to 2/11. Step 1000: 0.75 as given.
    expected = 0.0
    for step, decay in ((0, 1 / 10), (1, 2 / 11), (1000, 0.75)):
        update_ema(average, model, 0.75, tf.constant(step, tf.int64))
        expected = decay * expected + (1 - decay) * 1.0
        kernel, bias = average.get_weights()
        assert np.isclose(kernel[0, 0], expected) and bias[0] == 8
    assert model.get_weights()[0][0, 0] == 1
