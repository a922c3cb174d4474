"""What a trace says of an optimizer: its class and settings, learning rate, slots under our names, and moving averages.

Knows the optimizers of Keras of all releases, and those of ``tf.train``.
"""

import sys
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

import numpy as np

from tfkernels.conversion.optimizer_slots import make_slots
from tfkernels.conversion.record.optimizer_state import slots_of, unwrapped
from tfkernels.conversion.record.plain_values import plain
from tfkernels.models.keras_package import Keras
from tfkernels.models.tensorflow_api import in_graph_mode

_OURS = {
    "rms": "mean_square",
    "mg": "mean_gradient",
    "accum": "accumulator",
    "accum_grad": "mean_square",
    "accum_var": "mean_square_update",
    "accum_update": "mean_square_update",
}
"""Names of slots that are others in a trace."""


UPDATES = (
    "update_step",  # of optimizers since 2.11, and of Keras 3
    "_resource_apply_dense",  # of those before, and of tf.train
    "_resource_apply_sparse_duplicate_indices",
    "_apply_dense",
    "_apply_sparse_duplicate_indices",
)
"""Methods of optimizers that get a gradient and the weight that it changes, in this order."""


def whole_gradient(method: Any, gradient: Any, args: Tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """The gradient that one of ``UPDATES`` got. A sparse one can have its indices in another argument."""
    if "sparse" not in method.__name__ or hasattr(gradient, "indices"):
        return gradient
    return sys.modules["tensorflow"].IndexedSlices(gradient, args[0] if args else kwargs["indices"])


class Slot(NamedTuple):
    """A slot's variable. In a trace it is the variable divided by :func:`velocity_factor` if it is a ``velocity``."""

    weight: Any
    name: str
    variable: Any
    velocity: bool


class Optimizer:
    """One of Keras or of ``tf.train``, which Keras may have wrapped for a graph or for mixed precision."""

    def __init__(self, optimizer: Any) -> None:
        self.outer = optimizer
        self._rate: Any = None  # in a graph the tensor, so that it is made once
        inner = unwrapped(optimizer)
        self._steps = getattr(inner, "iterations", None) if type(inner).__name__ == "TFOptimizer" else None
        self.inner = inner.optimizer if type(inner).__name__ == "TFOptimizer" else inner

    @property
    def iterations(self) -> Any:
        return self._steps if self._steps is not None else getattr(self.inner, "iterations", None)

    def make_slots(self, trained: List[Any]) -> None:
        """Makes slots as the first step would. Keras's first optimizers make them with the train function only."""
        if not getattr(self.outer, "built", True):  # Keras 3's, around another one, makes its scale then, too
            self.outer.build(trained)
        make_slots(self.inner, trained)

    def slots(self, trained: List[Any]) -> List[Slot]:
        found = []
        sgd = any(kind.__name__ == "SGD" for kind in type(self.inner).__mro__)
        adadelta = "Adadelta" in type(self.inner).__name__
        for weight, name, variable in slots_of(self.inner, trained):
            ours = "mean_square" if adadelta and name == "accum" else _OURS.get(name, name)
            found.append(Slot(weight, ours, variable, sgd and name == "momentum"))
        return found

    def averages(self, trained: List[Any]) -> List[Tuple[Any, Any]]:
        """Weights with their moving averages, which optimizers since 2.11 can keep (``use_ema``)."""
        found = getattr(self.inner, "_model_variables_moving_average", None) or []
        if not getattr(self.inner, "use_ema", False) or len(found) != len(trained):
            return []
        return list(zip(trained, found))

    def variables(self) -> List[Any]:
        """All variables of it that there are now."""
        found: List[Any] = []
        for optimizer in (self.outer, self.inner):
            for name in ("variables", "weights"):
                try:
                    held = getattr(optimizer, name, None)
                except NotImplementedError:  # Keras's wrapper of an optimizer of tf.train
                    continue
                held = held() if callable(held) else held
                found += list(held or ())
        found += [getattr(self.inner, name) for name in ("lr", "iterations") if hasattr(self.inner, name)]
        return [variable for variable in found if hasattr(variable, "assign") or hasattr(variable, "initializer")]

    def learning_rate(self, value_of: Any) -> Optional[float]:
        """The rate of the next step. ``value_of`` gives the value of a variable or tensor."""
        inner = self.inner
        if hasattr(inner, "_decayed_lr"):  # OptimizerV2
            rate = self._rate if self._rate is not None else inner._decayed_lr("float32")  # noqa: SLF001
            self._rate = rate if in_graph_mode() else None
            return float(value_of(rate))
        rate = next(
            (getattr(inner, name) for name in ("_learning_rate", "_lr", "lr", "learning_rate") if hasattr(inner, name)),
            None,
        )
        if rate is None:
            return None
        if callable(rate) and not hasattr(rate, "shape"):
            rate = rate(self.iterations) if hasattr(rate, "get_config") else rate()
        rate = float(value_of(rate)) if hasattr(rate, "shape") else float(rate)
        if getattr(inner, "initial_decay", 0) and self.iterations is not None:
            rate /= 1 + float(value_of(inner.decay)) * float(value_of(self.iterations))
        return rate

    def loss_scale(self, value_of: Any) -> float:
        """The factor of the loss that is differentiated, in mixed precision."""
        for name in ("loss_scale", "dynamic_scale", "loss_scale_factor"):
            factor = getattr(self.outer, name, None)
            factor = factor() if callable(factor) else factor
            if factor is not None:
                return float(value_of(factor)) if hasattr(factor, "shape") else float(factor)
        return 1.0

    def about(self) -> Dict[str, Any]:
        return {"class_name": type(self.inner).__name__, "config": self._config()}

    def _config(self) -> Dict[str, Any]:
        try:
            return dict(plain(self.inner.get_config()))
        except (AttributeError, NotImplementedError):  # an optimizer of tf.train
            settings = {name[1:]: value for name, value in vars(self.inner).items() if name.startswith("_")}
            return {name: value for name, value in settings.items() if isinstance(value, (bool, int, float, str))}


def velocity_factor(rate: Optional[float]) -> Any:
    """What makes Keras's velocity of our ``momentum``: Keras's SGD keeps - rate x momentum."""
    return np.float32(-rate) if rate else np.float32(1)


def keras_text(keras: Keras) -> str:
    """``tf.keras 2.2.4-tf``, ``keras 3.15.1``: the Keras of a model and its release."""
    if keras.name.startswith("tensorflow"):
        own = getattr(getattr(sys.modules["tensorflow"], "keras", None), "__version__", "")
        return f"tf.keras {own}".strip()
    return f"{keras.name} {getattr(sys.modules[keras.name], '__version__', '')}".strip()
