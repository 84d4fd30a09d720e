import collections

import numpy as np
import pytest
import tensorflow as tf

from dcgan_tf.regularization import augmentation
from dcgan_tf.regularization.augmentation import color, cutout, make_augmentations, translation
from dcgan_tf.settings.choices import AUGMENTATIONS
from dcgan_tf.settings.config import Config
from tests.conftest import thorough
from tests.small import batches, dense_trainer, eagerly, flat, train

SEED = tf.constant([0, 0], tf.int64)
ALL = ",".join(AUGMENTATIONS)


def augment(images, names):
    """Images as augmentations of these names change them."""
    return augmentation.augment(images, make_augmentations(Config(augment=names)), SEED)


def some_images(count, size=16, channels=3):
    return np.random.default_rng(0).uniform(-1, 1, [count, size, size, channels]).astype("f")


def places(images):
    """Where each image's only bright pixel is, or None where it is gone."""
    found = [np.argwhere(image[..., 0] == 1.0) for image in images]
    return [tuple(map(int, where[0])) if len(where) else None for where in found]


def test_they_are_applied_in_the_tables_order_whatever_the_flags():
    def changes(names):
        return [change for change, _ in make_augmentations(Config(augment=names))]

    assert changes("none") == []
    assert changes("cutout,color") == changes("color,cutout") == [color, cutout]
    assert changes(ALL) == [color, translation, cutout]


def test_colors_of_known_numbers():
    """Two pixels, (1, 0, −1) and (0, 0, 0): brighter, then less colorful, then flatter."""
    image = tf.constant([[[[1.0, 0.0, -1.0], [0.0, 0.0, 0.0]]]])
    changed = color(image, tf.constant([[0.75, 0.25, 0.0]]))
    # (1.25, 0.25, −0.75) and 0.25; around its gray, 0.25, (0.75, 0.25, −0.25); around the mean of
    # the image, 0.25, half of it.
    np.testing.assert_allclose(changed[0, 0], [[0.5, 0.25, 0.0], [0.25, 0.25, 0.25]], atol=1e-6)


def test_contrast_is_of_each_image():
    images = some_images(2)
    changed = color(images, tf.constant([[0.5, 0.5, 0.99], [0.5, 0.5, 0.0]]))
    np.testing.assert_allclose(np.std(changed[0]), 1.49 * np.std(images[0]), rtol=1e-4)
    np.testing.assert_allclose(np.std(changed[1]), 0.5 * np.std(images[1]), rtol=1e-4)
    np.testing.assert_allclose(np.mean(changed, (1, 2, 3)), images.mean((1, 2, 3)), atol=1e-5)


def test_colors_beside_an_alpha_change_as_those_of_an_opaque_image_do():
    numbers, opaque = tf.constant([[0.9, 0.3, 0.1], [0.2, 0.8, 0.7]]), some_images(2)
    expected = color(opaque, numbers)
    alpha = np.ones_like(opaque[..., :1])
    changed = color(np.concatenate([opaque, alpha], axis=3), numbers)
    np.testing.assert_allclose(changed[..., :3], expected, atol=1e-5)
    np.testing.assert_array_equal(changed[..., 3:], alpha)
    # Half as visible, in the lower half of an image that is transparent elsewhere.
    half = (opaque + 1) / 2 - 1
    clear = np.full([2, 16, 16, 4], -1.0, "f")
    below = np.concatenate([half, np.zeros_like(alpha)], axis=3)
    changed = color(np.concatenate([clear, below], axis=1), numbers)
    np.testing.assert_allclose(changed[:, 16:, :, :3], (expected + 1) / 2 - 1, atol=1e-5)
    np.testing.assert_array_equal(changed[:, 16:, :, 3:], np.zeros_like(alpha))
    np.testing.assert_allclose(changed[:, :16], clear[:, :16], atol=1e-6)


def test_color_of_a_transparent_image_is_a_number():
    clear = np.full([1, 4, 4, 4], -1.0, "f")
    np.testing.assert_array_equal(color(clear, tf.constant([[0.9, 0.9, 0.9]])), clear)


def test_what_comes_in_beside_an_alpha_is_transparent():
    images = np.ones([1, 16, 16, 4], "f")
    moved = translation(images, tf.constant([[0.99, 0.99, 0.0]])).numpy()
    assert (moved[:, :14, :14] == 1).all() and (moved[:, 14:] == -1).all()
    cut = cutout(images, tf.constant([[0.0, 0.0, 0.0]])).numpy()
    assert (cut[:, :4, :4] == -1).all() and (cut[:, 4:] == 1).all()


@pytest.mark.parametrize("numbers", [(0.0, 0.0), (0.5, 0.5), (0.99, 0.3), (0.2, 0.99)])
def test_translation_shifts_and_fills_with_gray(numbers):
    images = some_images(1, size=16)
    down, right = (int(number * 5) - 2 for number in numbers)  # 16 / 8 pixels each way
    padded = np.pad(images, [(0, 0), (2, 2), (2, 2), (0, 0)])
    expected = padded[:, 2 + down : 18 + down, 2 + right : 18 + right]
    np.testing.assert_array_equal(translation(images, tf.constant([[*numbers, 0.0]])), expected)


def test_every_translation_is_as_likely():
    images = np.zeros([5000, 16, 16, 1], "f")
    images[:, 8, 8] = 1
    counts = collections.Counter(places(augment(images, "translation").numpy()))
    assert set(counts) == {(y, x) for y in range(6, 11) for x in range(6, 11)}
    assert all(130 < count < 275 for count in counts.values())  # 200 ± 5 standard deviations


def test_cutout_makes_a_square_gray():
    ones = np.ones([3, 8, 8, 1], "f")
    numbers = tf.constant([[0.5, 0.5, 0.0], [0.0, 0.0, 0.0], [0.999, 0.5, 0.0]])
    middle, corner, edge = cutout(ones, numbers).numpy()[..., 0]
    rows, columns = np.nonzero(middle == 0)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (2, 5, 2, 5)
    assert (middle == 0).sum() == 16
    assert (corner[:2, :2] == 0).all() and (corner == 0).sum() == 4
    assert (edge[6:, 2:6] == 0).all() and (edge == 0).sum() == 8


def test_holes_are_everywhere_as_often_but_at_the_edges():
    covered = 1 - augment(np.ones([20000, 8, 8, 1], "f"), "cutout").numpy().mean((0, 3))
    # Of 9 centers along each side, 4 cover an inner place.
    np.testing.assert_allclose(covered[3:5, 3:5], (4 / 9) ** 2, atol=0.02)
    np.testing.assert_allclose(covered, covered[::-1], atol=0.02)
    np.testing.assert_allclose(covered, covered.T, atol=0.02)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_gradients_are_those_of_finite_differences(name):
    image, weights = some_images(1, size=8), some_images(2, size=8)[1:]

    def loss(image):
        return tf.reduce_sum(augment(image, name) * weights)

    image = tf.constant(image)
    with tf.GradientTape() as tape:
        tape.watch(image)
        value = loss(image)
    gradient = tape.gradient(value, image)
    assert np.abs(gradient).max() > 0
    direction = some_images(3, size=8)[2:]
    difference = (loss(image + direction) - loss(image - direction)) / 2  # all are linear
    np.testing.assert_allclose(tf.reduce_sum(gradient * direction), difference, rtol=1e-3)


def test_each_kind_has_the_same_numbers_whatever_the_others_are():
    images = some_images(4)
    alone = augment(images, "translation")
    both = augment(images, "cutout,translation").numpy()
    kept = both != 0
    np.testing.assert_array_equal(both[kept], alone.numpy()[kept])


def test_a_probability_says_how_many_images_are_changed_by_each_kind():
    """Each kind decides for itself, and changes those that it does as if it changed all."""
    images = np.repeat(some_images(1, 8), 4000, axis=0)
    shown, is_changed = [], []
    for names in ("color", "translation"):
        augmentations = make_augmentations(Config(augment=names))
        some = augmentation.augment(images, augmentations, SEED, 0.25).numpy()
        changed = (some != images).any(axis=(1, 2, 3))
        np.testing.assert_array_equal(some[changed], augment(images, names).numpy()[changed])
        shown.append(some)
        is_changed.append(changed)
    assert is_changed[0].mean() == pytest.approx(0.25, abs=0.03)
    # A translation by nothing, one in three times three, is not seen.
    assert is_changed[1].mean() == pytest.approx(0.25 * 8 / 9, abs=0.03)
    assert (is_changed[0] & is_changed[1]).mean() == pytest.approx(0.25**2 * 8 / 9, abs=0.02)
    none = augmentation.augment(images, make_augmentations(Config(augment=ALL)), SEED, 0.0)
    np.testing.assert_array_equal(none, images)


def test_real_and_generated_images_are_changed_apart_and_anew_in_each_step(mnist):
    gan = dense_trainer(mnist, augment=ALL).gan
    images = tf.constant(some_images(8, 28, 1))
    seen = [*gan.augment(images, images), *gan.augment(images, images)]
    gan.step.assign_add(1)
    seen += gan.augment(images, images)
    assert len({image.numpy().tobytes() for image in seen}) == 4
    gan.step.assign_add(-1)
    np.testing.assert_array_equal(gan.augment(images, images)[1], seen[1])


def test_only_the_discriminator_sees_augmented_images(mnist):
    """The spread is that of the images as they were generated, and the grid knows nothing."""
    plain, augmented = dense_trainer(mnist), dense_trainer(mnist, augment=ALL)
    np.testing.assert_array_equal(plain.sample_grid(), augmented.sample_grid())
    outputs = [eagerly(each)(next(batches(each))) for each in (plain, augmented)]
    assert outputs[0].scalars.spread == outputs[1].scalars.spread
    assert (np.array(outputs[0].real_logits) != np.array(outputs[1].real_logits)).all()


@pytest.mark.parametrize(
    "settings",
    [
        {"discriminator_batch": "joint"},
        {"pack": 2},
        *thorough(
            {"discriminator_batch_norm": True},
            {"loss": "wasserstein", "weight_clip": 0.01, "discriminator_steps": 2},
            {"loss": "wasserstein", "gradient_penalty": 10.0, "discriminator_steps": 2},
            {"unroll_steps": 2},
            {"precision": "float16"},
        ),
    ],
    ids=str,
)
def test_every_way_to_take_a_step_augments(mnist, settings):
    found = flat(train(dense_trainer(mnist, augment=ALL, **settings), 1, graph=False))
    plain = flat(train(dense_trainer(mnist, **settings), 1, graph=False))
    assert all((np.array(a) != np.array(b)).any() for a, b in zip(found[-2:], plain[-2:]))


def test_every_update_of_a_critic_step_is_augmented_anew(mnist, monkeypatch):
    critic = {"loss": "wasserstein", "gradient_penalty": 10.0, "discriminator_steps": 2}
    trainer = dense_trainer(mnist, augment=ALL, batch_size=4, **critic)
    augment, updates, seen = trainer.gan.augment, [], []

    def spy(real, fake, update=0):
        updates.append(update)
        return augment(real, fake, update)

    def spy_on(name):
        use = getattr(trainer.gan, name)

        def take(real, fake, *args, **kwargs):
            if real is not None and fake is not None:  # not one alone, within a penalty
                seen.append((name, real.ref(), fake.ref()))
            return use(real, fake, *args, **kwargs)

        monkeypatch.setattr(trainer.gan, name, take)

    monkeypatch.setattr(trainer.gan, "augment", spy)
    for name in ("discriminate", "penalty"):
        spy_on(name)
    train(trainer, 1, graph=False)
    assert updates == [0, 1, 2]  # each critic update's, and the generator's
    # A critic's loss and its penalty are of the same images.
    assert [name for name, *_ in seen] == ["discriminate", "penalty"] * 2
    assert seen[0][1:] == seen[1][1:] != seen[2][1:] == seen[3][1:]


@pytest.mark.parametrize("size", [*range(1, 70), 96, 100, 128])
def test_ranges_are_those_of_the_papers_code(size):
    """https://github.com/mit-han-lab/data-efficient-gans, DiffAugment_tf.py."""
    numbers = tf.linspace(0.0, 0.9999999, 4001)
    shifted = augmentation.shifts(numbers, size).numpy()
    furthest = max(abs(np.argwhere(rows.any(axis=1)).min(initial=size)) for rows in shifted)
    assert furthest == min(int(size * (1 / 8) + 0.5), size)
    hole = int(size * 0.5 + 0.5)
    wide = augmentation.holes(numbers, size).numpy().sum(axis=1)
    assert wide.max() == hole
