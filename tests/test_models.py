import numpy as np
import pytest

from dcgan_tf.models import make_discriminator, make_generator
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from dcgan_tf.settings.image_size import height_and_width, start_and_blocks
from dcgan_tf.settings.presets import PRESETS

MNIST = (28, 28, 1)
COLOR_64 = (64, 64, 3)


def outline(model):
    """The name and output shape of every layer."""
    return [(type(layer).__name__, layer.output.shape[1:]) for layer in model.layers]


def shapes(model, kinds):
    return [shape for kind, shape in outline(model) if kind in kinds]


def trainable(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


def preset(name, **given):
    return Config.from_flags({"preset": name, **given})


def test_tutorial_generator_layer_by_layer():
    model = make_generator(Config(), MNIST)
    assert outline(model) == [
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
    assert trainable(model) == 2_330_944 - 25_472
    assert not any(getattr(layer, "use_bias", False) for layer in model.layers)


def test_tutorial_discriminator_layer_by_layer():
    model = make_discriminator(Config(), MNIST)
    assert outline(model) == [
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


def test_tutorial_settings():
    generator, discriminator = make_generator(Config(), MNIST), make_discriminator(Config(), MNIST)
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


def test_paper_generator_has_the_known_shapes_and_count():
    model = make_generator(preset("paper"), COLOR_64)
    assert shapes(model, {"Conv2DTranspose"}) == [
        (4, 4, 512),
        (8, 8, 256),
        (16, 16, 128),
        (32, 32, 64),
        (64, 64, 3),
    ]
    assert trainable(model) == 3_576_704
    kinds = [kind for kind, _ in outline(model)]
    block = ["Conv2DTranspose", "BatchNormalization", "ReLU"]
    assert kinds == ["Reshape", *block * 4, "Conv2DTranspose"]


def test_paper_discriminator_has_the_known_shapes_and_count():
    model = make_discriminator(preset("paper"), COLOR_64)
    assert shapes(model, {"Conv2D"}) == [
        (32, 32, 64),
        (16, 16, 128),
        (8, 8, 256),
        (4, 4, 512),
        (1, 1, 1),
    ]
    assert trainable(model) == 2_765_568
    kinds = [kind for kind, _ in outline(model)]
    block = ["Conv2D", "BatchNormalization", "LeakyReLU"]
    assert kinds == ["Conv2D", "LeakyReLU", *block * 3, "Conv2D", "Flatten"]


def test_paper_dropout_is_in_every_block_if_set():
    model = make_discriminator(preset("paper", dropout=0.25), COLOR_64)
    dropouts = [layer for layer in model.layers if type(layer).__name__ == "Dropout"]
    assert [layer.rate for layer in dropouts] == [0.25] * 4


def test_blocks_have_three_and_two_of_them():
    config = preset("blocks")
    generator = make_generator(config, (32, 32, 3))
    assert shapes(generator, {"Conv2DTranspose"}) == [
        (4, 4, 256),
        (8, 8, 128),
        (16, 16, 64),
        (32, 32, 3),
    ]
    # 100·256·16 + 256·128·16 + 128·64·16 + 64·3·16 weights, and 2·(256 + 128 + 64) of batch norm.
    assert trainable(generator) == 409_600 + 524_288 + 131_072 + 3_072 + 896
    discriminator = make_discriminator(config, (32, 32, 3))
    assert outline(discriminator) == [
        ("Conv2D", (16, 16, 64)),
        ("BatchNormalization", (16, 16, 64)),
        ("LeakyReLU", (16, 16, 64)),
        ("Conv2D", (8, 8, 128)),
        ("BatchNormalization", (8, 8, 128)),
        ("LeakyReLU", (8, 8, 128)),
        ("Conv2D", (1, 1, 1)),
        ("Flatten", (1,)),
    ]
    # 3·64·16 + 64·128·16 + 128·8·8 weights, and 2·(64 + 128) of batch norm.
    assert trainable(discriminator) == 3_072 + 131_072 + 8_192 + 384


def test_upsample_has_no_transposed_convolution():
    config = preset("upsample")
    generator = make_generator(config, (32, 32, 3))
    block = ["BatchNormalization", "UpSampling2D", "Conv2D", "ReLU"]
    assert [kind for kind, _ in outline(generator)] == ["Dense", "Reshape", *block * 3, "Conv2D"]
    assert shapes(generator, {"Reshape", "UpSampling2D"}) == [
        (4, 4, 256),
        (8, 8, 256),
        (16, 16, 256),
        (32, 32, 128),
    ]
    # Dense 101·4096; convolutions 9·(256² + 256·128 + 128·64 + 64·3) and 256 + 128 + 64 + 3
    # biases; batch norm 2·(256 + 256 + 128).
    assert trainable(generator) == 413_696 + 9 * 106_688 + 451 + 1_280
    discriminator = make_discriminator(config, (32, 32, 3))
    assert [kind for kind, _ in outline(discriminator)] == [
        *("Conv2D", "LeakyReLU", "Dropout"),
        *("Conv2D", "LeakyReLU", "Dropout", "BatchNormalization") * 2,
        *("Flatten", "Dense"),
    ]
    # 9·(3·64 + 64·128 + 128·256) and 448 biases, 2·(128 + 256) of batch norm, 4096 + 1 of dense.
    assert trainable(discriminator) == 9 * 41_152 + 448 + 768 + 4_097


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("size, channels", [(28, 1), (32, 3), (64, 1), (96, 3), (128, 1), (256, 3)])
def test_every_preset_builds_every_size(name, size, channels):
    config = preset(name, base_filters=2)
    images = make_generator(config, (size, size, channels))(
        np.zeros((2, config.noise_dim), np.float32)
    )
    assert images.shape == (2, size, size, channels)
    assert make_discriminator(config, (size, size, channels))(images).shape == (2, 1)


@pytest.mark.parametrize(
    "size, stride, split",
    [
        ((8, 8), 2, ((4, 4), 1)),
        ((28, 28), 2, ((7, 7), 2)),
        ((64, 64), 2, ((4, 4), 4)),
        ((96, 96), 2, ((6, 6), 4)),
        ((160, 160), 2, ((5, 5), 5)),
        ((28, 28), 4, ((7, 7), 1)),
        ((64, 64), 4, ((4, 4), 2)),
        ((36, 36), 3, ((4, 4), 2)),
        ((33, 33), 3, ((11, 11), 1)),
        ((64, 128), 2, ((4, 8), 4)),
        ((56, 64), 2, ((7, 8), 3)),
        ((64, 56), 2, ((8, 7), 3)),
        ((160, 96), 2, ((10, 6), 4)),
        ((64, 80), 4, ((4, 5), 2)),
    ],
)
def test_sizes_are_a_start_times_a_power_of_the_stride(size, stride, split):
    assert start_and_blocks(size, stride) == split


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("size", [(16, 40), (48, 32)])
def test_every_preset_builds_rectangles(name, size):
    config, shape = preset(name, base_filters=2), (*size, 4)
    images = make_generator(config, shape)(np.zeros((2, config.noise_dim), np.float32))
    assert images.shape == (2, *shape)
    assert make_discriminator(config, shape)(images).shape == (2, 1)


@pytest.mark.parametrize(
    "size, stride, nearest",
    [
        (50, 2, "48 or 56"),
        (100, 2, "96 or 112"),
        (7, 2, "8"),
        (31, 2, "28 or 32"),
        (9999, 2, "8192 or 10240"),
        (30, 4, "28 or 32"),
        (62, 4, "60 or 64"),
        (40, 3, "36 or 45"),
        (28, 3, "27 or 30"),
        (11, 3, "12"),
        (28, 2**31 - 1, "8589934588"),
    ],
)
def test_size_that_cannot_be_built_names_the_nearest(size, stride, nearest):
    message = f"`image_size` {size} .* power of `stride` {stride}: use {nearest}"
    with pytest.raises(UserError, match=message):
        start_and_blocks((size, size), stride)


@pytest.mark.parametrize(
    "size, nearest",
    [
        ((60, 68), "56x64 or 64x64"),
        ((68, 60), "64x56 or 64x64"),
        ((64, 100), "64x96 or 64x112"),
        ((100, 64), "96x64 or 112x64"),
        ((56, 68), "56x64 or 56x72"),
        ((5, 20), "8x20"),
    ],
)
def test_rectangle_that_cannot_be_built_names_the_nearest(size, nearest):
    nearest = nearest.replace("64x64", "64")
    with pytest.raises(UserError, match=f"{size[0]}x{size[1]} needs .*: use {nearest}"):
        start_and_blocks(size, 2)
    for each in nearest.split(" or "):
        start_and_blocks(height_and_width(each), 2)


def test_stride_of_four_scales_in_one_block():
    config = Config(stride=4)
    generator = make_generator(config, MNIST)
    found = shapes(generator, {"Reshape", "Conv2DTranspose"})
    assert found == [(7, 7, 128), (7, 7, 64), (28, 28, 1)]
    # Dense 100·6272, 25·(128·64 + 64) of convolutions, and 2·(6272 + 64) of batch norm.
    assert trainable(generator) == 627_200 + 25 * 8_256 + 12_672
    discriminator = make_discriminator(config, MNIST)
    assert outline(discriminator) == [
        ("Conv2D", (7, 7, 64)),
        ("LeakyReLU", (7, 7, 64)),
        ("Dropout", (7, 7, 64)),
        ("Flatten", (3136,)),
        ("Dense", (1,)),
    ]
    # 25·64 weights and 64 biases, and 3136 + 1 of dense.
    assert trainable(discriminator) == 1_600 + 64 + 3_137


def test_stride_of_three_scales_in_two_blocks():
    config, image_shape = preset("paper", stride=3), (36, 36, 3)
    generator = make_generator(config, image_shape)
    assert shapes(generator, {"Conv2DTranspose"}) == [(4, 4, 128), (12, 12, 64), (36, 36, 3)]
    # 16·(100·128 + 128·64 + 64·3) weights, and 2·(128 + 64) of batch norm.
    assert trainable(generator) == 16 * 21_184 + 384
    discriminator = make_discriminator(config, image_shape)
    assert shapes(discriminator, {"Conv2D"}) == [(12, 12, 64), (4, 4, 128), (1, 1, 1)]
    # 16·(3·64 + 64·128 + 128) weights, and 2·128 of batch norm.
    assert trainable(discriminator) == 16 * 8_512 + 256


@pytest.mark.parametrize("name", ["blocks", "upsample"])
@pytest.mark.parametrize("size, stride", [(28, 4), (64, 4), (36, 3)])
def test_other_architectures_take_their_stride_too(name, size, stride):
    config = preset(name, base_filters=2, stride=stride)
    images = make_generator(config, (size, size, 1))(np.zeros((2, 100), np.float32))
    assert images.shape == (2, size, size, 1)
    assert make_discriminator(config, (size, size, 1))(images).shape == (2, 1)


@pytest.mark.parametrize("make", [make_generator, make_discriminator])
@pytest.mark.parametrize("name", PRESETS)
def test_no_model_is_built_of_another_size(name, make):
    with pytest.raises(UserError, match="`image_size` 30 .*: use 28 or 32"):
        make(preset(name, stride=4), (30, 30, 1))


def test_batch_norm_can_be_left_out_of_either_network():
    config = preset("paper", generator_batch_norm=False, discriminator_batch_norm=False)
    for make in (make_generator, make_discriminator):
        assert not shapes(make(config, COLOR_64), {"BatchNormalization"})


def test_normal_weights_have_the_papers_deviation():
    for make in (make_generator, make_discriminator):
        model = make(preset("paper"), COLOR_64)
        for layer in model.layers:
            if hasattr(layer, "kernel") and layer.kernel.shape[-1] > 3:
                kernel = layer.kernel.numpy()
                assert abs(kernel.std() - 0.02) < 0.002 and abs(kernel.mean()) < 0.002
            if hasattr(layer, "gamma"):
                gamma = layer.gamma.numpy()
                assert 0.005 < gamma.std() < 0.04 and abs(gamma.mean() - 1) < 0.02
                assert (layer.momentum, layer.epsilon) == (0.9, 1e-5)


@pytest.mark.parametrize("name", PRESETS)
def test_images_are_within_tanhs_range_and_logits_are_not_squashed(name):
    config = preset(name, base_filters=4)
    generator, discriminator = make_generator(config, MNIST), make_discriminator(config, MNIST)
    images = generator(
        np.random.default_rng(0).normal(size=(4, config.noise_dim)).astype("float32") * 50
    )
    assert np.abs(images).max() <= 1
    logits = discriminator(np.ones((4, 28, 28, 1), np.float32) * 1e6)
    assert np.abs(logits).max() > 1


def test_dropout_works_in_training_only_and_differs_between_the_layers():
    model = make_discriminator(Config(), MNIST)
    images = np.ones((2, 28, 28, 1), np.float32)
    assert np.array_equal(model(images, training=False), model(images, training=False))
    assert not np.array_equal(model(images, training=True), model(images, training=True))
    first, second = model.layers[2], model.layers[5]
    ones = np.ones((1, 2000), np.float32)
    assert not np.array_equal(first(ones, training=True), second(ones, training=True))


@pytest.mark.parametrize("name", PRESETS)
def test_mapping_network_normalizes_z_and_goes_through_dense_layers(name):
    config = preset(name, mapping_layers=2, noise_dim=20, base_filters=4, negative_slope=0.25)
    model = make_generator(config, MNIST)
    first, second = (model.layers[index] for index in (2, 4))
    for layer in (first, second):
        layer.bias.assign(np.linspace(-1, 1, 20))
    z = np.random.default_rng(0).normal(size=(3, 20)).astype("float32") * [[1], [50], [0.1]]
    values = z / np.sqrt((z**2).mean(axis=1, keepdims=True))
    for layer in (first, second):
        values = values @ layer.kernel.numpy() + np.linspace(-1, 1, 20)
        values = np.where(values > 0, values, 0.25 * values)
    mapped = z
    for layer in model.layers[:6]:
        mapped = layer(mapped)
    np.testing.assert_allclose(mapped, values, rtol=1e-4, atol=1e-5)
    plain = outline(make_generator(preset(name, noise_dim=20, base_filters=4), MNIST))
    assert outline(model)[6:] == plain
    # He's weights keep the values' size, whatever the others are drawn from.
    assert 0.2 < first.kernel.numpy().std() < 0.5


@pytest.mark.parametrize("name", PRESETS)
def test_last_dropout_is_before_the_last_layer_only(name):
    config = preset(name, last_dropout=0.4, base_filters=4)
    model = make_discriminator(config, MNIST)
    (index,) = (i for i, layer in enumerate(model.layers) if getattr(layer, "rate", 0) == 0.4)
    *before, last = (i for i, layer in enumerate(model.layers) if hasattr(layer, "kernel"))
    assert index + 1 == last and max(before) < index
    without = outline(make_discriminator(preset(name, base_filters=4), MNIST))
    rest = outline(model)
    assert rest.pop(index)[0] == "Dropout" and rest == without
    seeds = [layer.seed for layer in model.layers if hasattr(layer, "rate")]
    assert len(set(seeds)) == len(seeds)


def test_packed_discriminator_gives_a_logit_for_each_group():
    model = make_discriminator(Config(pack=4, batch_size=8), MNIST)
    assert model(np.zeros((8, 28, 28, 1), np.float32)).shape == (2, 1)
    # Its first convolution sees 4 channels, not 1: 3·25·64 weights more.
    assert model.count_params() == 212_865 + 4_800
