"""Losses of a model's first call in a graph, with operations that only pretend to be TensorFlow's."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tfkernels.errors import TraceError
from tfkernels.training import first_call_losses as module


class Operation:
    def __init__(self, kind: str, *inputs: Operation) -> None:
        self.type = kind
        self.inputs = [SimpleNamespace(op=one) for one in inputs]
        self.control_inputs: list[Any] = []


class Tensor:
    def __init__(self, op: Operation) -> None:
        self.op = op


ENTRY, OTHER = Operation("Placeholder"), Operation("Placeholder")
PLACE = Tensor(ENTRY)


@pytest.fixture(autouse=True)
def without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "nest", lambda: SimpleNamespace(flatten=list))
    monkeypatch.setattr(module, "walk", lambda model: [(layer.name, layer) for layer in model.layers])


def loss(*inputs: Operation, kind: str = "Mul") -> Any:
    return SimpleNamespace(op=Operation(kind, *inputs))


class Layer:
    def __init__(self, name: str, losses: dict[Any, Any] | None = None) -> None:
        self.name = name
        self._activity_regularizer = "l2"
        self._per_input_losses = losses or {}


def test_activities_of_the_first_call_are_not_added_again() -> None:
    """As in TensorFlow 1.4, which lists their losses under no input."""
    first, another = Layer("a", {None: [loss(ENTRY)]}), Layer("b", {1: [loss(ENTRY)]})
    later = Layer("c", {None: [loss(OTHER)]})
    model = SimpleNamespace(inputs=[PLACE], layers=[first, another, later, Layer("d")])
    with module.regularizers_left_out(model):
        assert [one._activity_regularizer for one in model.layers] == [None, "l2", "l2", "l2"]
    assert [one._activity_regularizer for one in model.layers] == ["l2"] * 4


def test_only_losses_that_need_it_get_the_first_input() -> None:
    model = SimpleNamespace(name="model", inputs=[PLACE], layers=[])
    phase = Tensor(Operation("Placeholder"))
    for one, expected in [
        (loss(OTHER), []),
        (loss(ENTRY), [(PLACE, "x")]),
        (loss(ENTRY, phase.op), [(PLACE, "x"), (phase, True)]),
    ]:
        assert list(module.first_call_feed(model, [one], ["x"], phase).items()) == expected


def test_a_first_call_with_a_dropout_is_refused() -> None:
    model = SimpleNamespace(name="model", inputs=[PLACE], layers=[])
    dropped = loss(ENTRY, Operation("RandomUniform"))
    with pytest.raises(TraceError, match=r"depends on a dropout\. Trace the session"):
        module.first_call_feed(model, [dropped], ["x"], 1)
    assert module.first_call_feed(model, [loss(Operation("RandomUniform"))], ["x"], 1) == {}
