import numpy as np

from dcgan_tf.models import make_discriminator_model, make_generator_model


def test_generator_has_the_tutorials_layers():
    model = make_generator_model()
    assert [(type(layer).__name__, layer.output.shape[1:]) for layer in model.layers] == [
        ("Dense", (12544,)),
        ("BatchNormalization", (12544,)),
        ("LeakyReLU", (12544,)),
        ("Reshape", (7, 7, 256)),
        ("Conv2DTranspose", (7, 7, 128)),
        ("BatchNormalization", (7, 7, 128)),
        ("LeakyReLU", (7, 7, 128)),
        ("Conv2DTranspose", (14, 14, 64)),
        ("BatchNormalization", (14, 14, 64)),
        ("LeakyReLU", (14, 14, 64)),
        ("Conv2DTranspose", (28, 28, 1)),
    ]
    assert model.count_params() == 2_330_944
    assert sum(int(np.prod(v.shape)) for v in model.non_trainable_variables) == 25_472
    assert not any(getattr(layer, "use_bias", False) for layer in model.layers)


def test_discriminator_has_the_tutorials_layers():
    model = make_discriminator_model(seed=0)
    assert [(type(layer).__name__, layer.output.shape[1:]) for layer in model.layers] == [
        ("Conv2D", (14, 14, 64)),
        ("LeakyReLU", (14, 14, 64)),
        ("Dropout", (14, 14, 64)),
        ("Conv2D", (7, 7, 128)),
        ("LeakyReLU", (7, 7, 128)),
        ("Dropout", (7, 7, 128)),
        ("Flatten", (6272,)),
        ("Dense", (1,)),
    ]
    assert model.count_params() == 212_865


def test_settings_are_the_tutorials():
    generator, discriminator = make_generator_model(), make_discriminator_model(seed=0)
    layers = (*generator.layers, *discriminator.layers)
    convolutions = [layer for layer in layers if hasattr(layer, "kernel_size")]
    assert [x.strides for x in convolutions] == [(1, 1), (2, 2), (2, 2), (2, 2), (2, 2)]
    assert all(x.kernel_size == (5, 5) and x.padding == "same" for x in convolutions)
    for layer in layers:
        name = type(layer).__name__
        if name == "LeakyReLU":
            assert np.isclose(layer.negative_slope, 0.3)
        if name == "BatchNormalization":
            assert (layer.momentum, layer.epsilon) == (0.99, 1e-3)
        if name == "Dropout":
            assert layer.rate == 0.3
        if hasattr(layer, "kernel_initializer"):
            assert type(layer.kernel_initializer).__name__ == "GlorotUniform"


def test_images_are_within_tanhs_range_and_logits_are_not_squashed():
    generator, discriminator = make_generator_model(), make_discriminator_model(seed=0)
    images = generator(np.random.default_rng(0).normal(size=(4, 100)).astype("float32") * 50)
    assert images.shape == (4, 28, 28, 1) and np.abs(images).max() <= 1
    logits = discriminator(images * 1000)
    assert logits.shape == (4, 1) and np.abs(logits).max() > 1


def test_dropout_works_in_training_only_and_differs_between_the_layers():
    model = make_discriminator_model(seed=0)
    images = np.ones((2, 28, 28, 1), np.float32)
    assert np.array_equal(model(images, training=False), model(images, training=False))
    assert not np.array_equal(model(images, training=True), model(images, training=True))
    first, second = model.layers[2], model.layers[5]
    ones = np.ones((1, 2000), np.float32)
    assert not np.array_equal(first(ones, training=True), second(ones, training=True))
