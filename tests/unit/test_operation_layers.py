"""Layers of operations in a model whose functions run eagerly."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from tfkernels.models import tensorflow_api
from tfkernels.models.tensorflow_api import operations_run_in_graphs


class _OperationLayer:
    def _make_op(self, inputs: list[Any]) -> str:
        return f"{inputs} in a graph"

    def _defun_call(self, inputs: Any) -> str:
        raise AttributeError("Tensor.graph is undefined when eager execution is enabled")


def _function(python: Any, autograph: bool) -> Any:
    return SimpleNamespace(get_concrete_function=lambda *given: python)


def _old(*layers: Any) -> Any:
    return SimpleNamespace(layers=[SimpleNamespace(_layers=layers)])


def _since_2_4(*layers: Any) -> Any:
    return SimpleNamespace(_flatten_layers=lambda: iter(layers))


@pytest.mark.parametrize("model_of", [_old, _since_2_4])
def test_an_operation_of_a_traced_model_gets_a_graph(
    model_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", SimpleNamespace(function=_function))
    monkeypatch.setattr(tensorflow_api, "nest", lambda: SimpleNamespace(flatten=lambda one: [one]))
    layer = _OperationLayer()
    with operations_run_in_graphs(model_of(object(), layer)):
        assert layer._defun_call(1) == "[1] in a graph"
    with pytest.raises(AttributeError):
        layer._defun_call(1)
