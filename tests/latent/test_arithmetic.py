import numpy as np
import pytest

from dcgan_tf.latent import arithmetic
from dcgan_tf.settings.errors import UserError


def test_sums_are_parsed():
    assert arithmetic.parse_arithmetic("12+40-7") == [(1, [12]), (1, [40]), (-1, [7])]
    assert arithmetic.parse_arithmetic(" -(1, 4,9) - ( 2 ) + 5") == [
        (-1, [1, 4, 9]),
        (-1, [2]),
        (1, [5]),
    ]
    for text in ("", "1+", "a+b", "1 2", "(1,2", "()", "1--2", "1+2)", "1*2", "9999999999", "1.5"):
        with pytest.raises(UserError):
            arithmetic.parse_arithmetic(text)
    with pytest.raises(UserError):
        arithmetic.parse_arithmetic("+1" * 101)


def test_sum_of_means_by_hand():
    noise = np.array([[1, 0], [3, 2], [0, 5], [4, 4]], np.float32)
    terms = arithmetic.parse_arithmetic("(0,1)-2+3")
    means, result = arithmetic.compute_arithmetic(terms, lambda images: noise[images], 2)
    assert means.tolist() == [[2, 1], [0, 5], [4, 4]]
    assert result.tolist() == [6, 0]


def test_a_label_that_all_share_is_no_part_of_the_sum():
    noise = np.array([[1, 0, 1], [3, 0, 1], [5, 1, 0]], np.float32)  # a value, and two classes
    of = lambda text: arithmetic.compute_arithmetic(  # noqa: E731
        arithmetic.parse_arithmetic(text), lambda images: noise[images], 1
    )[1].tolist()
    assert of("0+1") == [4, 0, 1] and of("0-1") == [-2, 0, 1]
    assert of("0-1+2") == [3, 1, 0]  # as king − man + woman
