"""Losses that the Keras of TensorFlow 1.4 lists several times: a model around the model would add each as often."""

from typing import Any, List

_ADDITIONS = ("Add", "AddV2", "AddN")


def count_as_in(model: Any, around: Any) -> None:
    """Makes ``around``, a model whose layer is ``model``, add each loss as often as the compiled ``model`` does."""
    listed = list(around.losses)
    distinct = list({id(loss): loss for loss in listed}.values())
    if len(distinct) == len(listed):
        return
    losses = [loss for loss in distinct for _ in range(max(1, times_added(loss, model.total_loss)))]
    kind = type(around)
    around.__class__ = type(kind.__name__, (kind,), {"losses": property(lambda _: losses)})


def times_added(loss: Any, total: Any) -> int:
    """How often the tensor ``loss`` is a term of the sum ``total``."""
    found = 0
    terms: List[Any] = [total]
    while terms:
        term = terms.pop()
        if term is loss:
            found += 1
        elif term.op.type in _ADDITIONS:
            terms += term.op.inputs
    return found
