"""Regularisation that Keras lists several times. Tensors are stand-ins: no release of the tests lists one twice."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tfkernels.training.repeated_losses import count_as_in, times_added


def tensor(operation: str, *inputs: Any) -> Any:
    return SimpleNamespace(op=SimpleNamespace(type=operation, inputs=inputs))


DATA, FIRST, SECOND = tensor("Mean"), tensor("Add", tensor("Const"), tensor("Sum")), tensor("Mul")


@pytest.mark.parametrize(
    ("total", "first", "second"),
    [
        (DATA, 0, 0),
        (tensor("Add", tensor("Add", DATA, FIRST), SECOND), 1, 1),
        (tensor("AddV2", tensor("AddN", DATA, FIRST, FIRST), SECOND), 2, 1),
        (tensor("Mul", FIRST, SECOND), 0, 0),
    ],
)
def test_terms_of_a_total_are_counted(total: Any, first: int, second: int) -> None:
    assert (times_added(FIRST, total), times_added(SECOND, total)) == (first, second)


class Model:
    def __init__(self, *losses: Any, total_loss: Any = None) -> None:
        self._listed = list(losses)
        self.total_loss = total_loss

    @property
    def losses(self) -> list[Any]:
        return self._listed


def test_the_model_around_adds_each_loss_as_often() -> None:
    model = Model(total_loss=tensor("Add", tensor("Add", tensor("Add", DATA, FIRST), SECOND), SECOND))
    around = Model(FIRST, SECOND, FIRST, SECOND, FIRST)
    count_as_in(model, around)
    assert around.losses == [FIRST, SECOND, SECOND]
    assert isinstance(around, Model)


def test_losses_that_are_listed_once_stay() -> None:
    around = Model(FIRST, SECOND)
    count_as_in(Model(total_loss=DATA), around)
    assert type(around) is Model
    assert around.losses == [FIRST, SECOND]
