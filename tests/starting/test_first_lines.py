import pytest

from dcgan_tf.starting.start import images_lines


@pytest.mark.parametrize(
    ("count", "step_size", "expected"),
    [
        (53, 32, "32 of the 53 images per epoch, different ones each time; with 26 images per "),
        (300, 256, "256 of the 300 images per epoch, different ones each time; with 150 images "),
        (60_000, 256, None),  # 96 of them
        (64, 32, None),
    ],
)
def test_a_step_size_that_leaves_out_many_images_has_a_line(count, step_size, expected):
    lines = images_lines(count, step_size)
    assert lines.get("batches", "").startswith(expected or "")
    assert ("batches" in lines) == (expected is not None)
    if expected:
        fitting = int(lines["batches"].split("; with ")[1].split()[0])
        assert lines["batches"].endswith(f" per step, {count - count % fitting}")
        assert all(count % size > count / 10 for size in range(fitting + 1, step_size + 1))


def test_a_handful_of_images_has_a_line():
    assert "expect copies" in images_lines(60, 20)["few images"]
    assert "few images" not in images_lines(800, 20)
