"""What a trace of a training puts back, without a TensorFlow."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tfkernels.training import random_draws, trained_state


class Count:
    """How often a mask was drawn eagerly. Its ``numpy`` is an error while a graph is built, as TensorFlow's is."""

    value = 5
    in_graph = False

    def numpy(self) -> int:
        if self.in_graph:
            raise NotImplementedError
        return self.value

    def assign(self, value: int) -> None:
        self.value = value


@pytest.mark.parametrize("in_graph", [False, True])
def test_masks_of_eager_models_do_not_disturb_graphs(monkeypatch: pytest.MonkeyPatch, in_graph: bool) -> None:
    count: Any = Count()
    count.in_graph = in_graph
    monkeypatch.setitem(random_draws.EAGER_MASK_COUNTS, id(count), count)
    monkeypatch.setattr(trained_state, "in_graph_mode", lambda: in_graph)
    monkeypatch.setattr(trained_state, "v1", lambda: SimpleNamespace(get_collection=lambda name: []))
    put_back = trained_state.TrainedState(None, None, None, trained=[]).now()
    count.value = 6
    put_back()
    assert count.value == (6 if in_graph else 5)
