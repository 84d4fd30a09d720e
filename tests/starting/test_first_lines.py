import pytest

from dcgan_tf.starting.start import images_lines


@pytest.mark.parametrize(
    ("count", "step_size", "left_out"),
    [
        (53, 32, "21 of the 53 images in each epoch, different ones each time; a step of 26 "),
        (300, 256, "44 of the 300 images in each epoch, different ones each time; a step of 150 "),
        (60_000, 256, None),  # 96 of them
        (64, 32, None),
    ],
)
def test_a_step_size_that_leaves_out_many_images_has_a_line(count, step_size, left_out):
    lines = images_lines(count, step_size)
    assert lines.get("left out", "").startswith(left_out or "")
    assert ("left out" in lines) == (left_out is not None)
    if left_out:
        fitting = int(lines["left out"].split(" a step of ")[1].split()[0])
        assert lines["left out"].endswith(f"leave out {count % fitting}")
        assert all(count % size > count / 10 for size in range(fitting + 1, step_size + 1))


def test_a_handful_of_images_has_a_line():
    assert "expect copies" in images_lines(60, 20)["few images"]
    assert "few images" not in images_lines(800, 20)
