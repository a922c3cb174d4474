"""Values on their way to a real kernel and back, from deep in a program, and as temporary arrays."""

from __future__ import annotations

import pytest

from tests.support.nested_values import DEEP, called, deep
from tests.support.specimens import assert_same as assert_same
from tfkernels.client.kernel import Kernel


@pytest.mark.parametrize("name", DEEP)
def test_deep_values_travel_from_deep_calls(remote: Kernel, name: str) -> None:
    value = deep(DEEP[name])
    called(600, lambda: remote.__setitem__("deep", value))
    assert_same(called(600, lambda: remote["deep"]), value)


def test_expressions_and_what_they_leave_there(remote: Kernel) -> None:
    remote.run(
        "import numpy as np; kept = []\nones = np.ones(20_000_000, 'f4')\n"
        "def twice():\n    kept.append(ones * 2)\n    return kept[-1]"
    )
    for _ in range(2):
        assert (remote["ones + 1"] == 2).all()
        assert (remote["twice()"] == 2).all()
        assert (remote["ones"] == 1).all()
    assert remote["bool((ones == 1).all()), [bool((each == 2).all()) for each in kept]"] == (True, [True, True])
    remote.run("ones = kept = None")
