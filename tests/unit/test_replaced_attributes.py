"""Attributes that are replaced for a while come back, also after an error on the way."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tfkernels.models.replaced_attributes import replaced


def test_attributes_come_back_after_an_error() -> None:
    class Place:
        @staticmethod
        def method() -> str:
            return "own"

    other = SimpleNamespace(value=1)
    own = vars(Place)["method"]
    with replaced([(Place, "method", lambda: "new"), (other, "value", 2)]):
        assert (Place.method(), other.value) == ("new", 2)
    with pytest.raises(ZeroDivisionError), replaced([(Place, "method", None), (other, "value", 2)]):
        raise ZeroDivisionError
    assert vars(Place)["method"] is own
    with pytest.raises(TypeError), replaced([(other, "value", 2), (int, "real", 0)]):  # which cannot be set
        pass
    assert (Place.method(), other.value) == ("own", 1)
