import keras
import numpy as np

from dcgan_tf.latent import projection


def test_projection_finds_the_noise_of_a_linear_generator():
    rng = np.random.default_rng(0)
    stack = [keras.layers.Input((3,)), keras.layers.Dense(16), keras.layers.Reshape((4, 4, 1))]
    generator = keras.Sequential(stack)
    noise = np.array([[0.5, -0.3, 0.8]], np.float32)
    image = generator(noise).numpy()[0]
    starts = rng.uniform(-1, 1, (4, 3)).astype(np.float32)
    found, error = projection.project(generator, image, starts, "uniform", starts.shape[1])
    np.testing.assert_allclose(found, noise[0], atol=0.02)
    assert error < 1e-3
    far = generator(np.array([[4.0, 0, 0]], np.float32)).numpy()[0]
    found, _ = projection.project(generator, far, starts, "uniform", starts.shape[1])
    assert np.abs(found).max() <= 1
