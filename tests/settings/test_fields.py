import dataclasses

import pytest

from dcgan_tf.settings.errors import UserError
from dcgan_tf.settings.fields import AT_LEAST_ONE, FRACTION, Settings, setting, value_type


@dataclasses.dataclass(frozen=True)
class Cake(Settings):
    layers: int = setting(2, "Cake", "how many", AT_LEAST_ONE)
    sugar: float = setting(0.5, "Cake", "how sweet", FRACTION)
    icing: str | None = setting(None, "Cake", "what is on top")


def test_values_are_checked_when_they_are_made():
    assert Cake(sugar=1).icing is None
    for given, expected in (
        ({"layers": 0}, "`layers` must be a whole number from 1 to 2147483647, not 0"),
        ({"layers": 2.0}, "`layers` .* not 2.0"),
        ({"layers": None}, "`layers` .* not None"),
        ({"sugar": 1.1}, "`sugar` must be a number from 0 to 1, not 1.1"),
        ({"icing": 3}, "`icing` must be a string, not 3"),
        ({"icing": "pure\udcff"}, r"`icing` must be UTF-8 text, not 'pure\\udcff'"),
    ):
        with pytest.raises(UserError, match=expected):
            Cake(**given)


def test_types_of_values():
    assert [value_type(field) for field in dataclasses.fields(Cake)] == [int, float, str]
