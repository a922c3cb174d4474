"""The state of an optimizer in a checkpoint beside a ``.keras`` file, which has none of Keras's ``legacy`` optimizers.

2.11 to 2.15 have these. Elsewhere nothing is written, and nothing is read.
"""

import os
import sys
from typing import Any, List

from tfkernels.conversion.optimizer_slots import make_slots
from tfkernels.conversion.target.rebuilt_optimizer import is_legacy

_ENDING = ".optimizer"


def save(model: Any, path: str) -> List[str]:
    """Writes ``path`` with the ending ``.optimizer`` if it must be. Says how to load it."""
    optimizer = getattr(model, "optimizer", None)
    if not path.endswith(".keras") or optimizer is None or not is_legacy(optimizer):
        return []
    _checkpoint(model).write(path + _ENDING)
    call = f"tf.train.Checkpoint(model=model, optimizer=model.optimizer).read({path + _ENDING!r})"
    return [f"A .keras file has no state of Keras's legacy optimizers. It is beside the file; load it with: {call}"]


def load(model: Any, path: str) -> None:
    """Reads what ``save`` wrote, as its user will."""
    if os.path.exists(f"{path}{_ENDING}.index"):
        make_slots(model.optimizer, list(model.trainable_weights))
        _checkpoint(model).read(path + _ENDING)


def _checkpoint(model: Any) -> Any:
    return sys.modules["tensorflow"].train.Checkpoint(model=model, optimizer=model.optimizer)
