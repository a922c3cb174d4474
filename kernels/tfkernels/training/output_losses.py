"""The loss of each output, where a Keras model has several: ``data/NAME`` in a trace, before ``loss_weights``.

Keras keeps a metric for each, and gives it the loss in every step. The values are seen on their way there.
"""

import contextlib
import functools
import sys
from typing import Any, Dict, Iterator, List, Optional, Tuple

from tfkernels.models.keras_package import keras_of
from tfkernels.models.layer_names import named_children
from tfkernels.models.replaced_attributes import replaced

_ENDING = "_loss"
_Replacement = Tuple[Any, str, Any]


class OutputLosses:
    """What the metrics of a compiled ``model`` got while :meth:`watched` was entered, by the names of its outputs."""

    def __init__(self, model: Any) -> None:
        self.found: Dict[str, Any] = {}
        self._model = model
        self._in_order: Optional[List[str]] = None
        names = list(getattr(model, "output_names", None) or ())
        ours = {child.name: name for name, child in named_children(model)} if len(names) > 1 else {}
        self._names = {name: ours.get(name, name) for name in names} if len(names) > 1 else {}

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        with replaced(self._replacements() if self._names else []):
            yield

    def in_order(self) -> None:
        """From now on the losses are those of a model with the same outputs, in their order, under other names."""
        self._in_order = [ours for name, ours in self._names.items() if self._has_loss(name)]

    def listed_in(self, around: Any) -> None:
        """Adds the tensors of such a model if it lists them, as Keras did before it had metrics for losses."""
        tensors = getattr(around, "metrics_tensors", None) or ()
        names = list(getattr(around, "metrics_names", ()))[1:]
        for name, tensor in zip(names, tensors) if self._names and not self.found else ():
            self._see(name, tensor)

    def _replacements(self) -> List[_Replacement]:
        model = self._model
        if getattr(model, "_compile_loss", None) is not None:  # Keras 3
            mean = sys.modules[keras_of(model).name].metrics.Mean
            return [(mean, "update_state", self._shown(mean.update_state))]
        if getattr(model, "compiled_loss", None) is not None:  # tf.keras 2.2 to 2.15
            container = type(model.compiled_loss)
            return [(container, "__call__", self._with_metrics_shown(vars(container)["__call__"]))]
        metrics = [one for one in getattr(model, "_output_loss_metrics", None) or () if one is not None]  # from 1.14
        kinds = {kind for metric in metrics for kind in type(metric).__mro__ if kind.__name__ == "Metric"}
        return [(kind, "__call__", self._shown(vars(kind)["__call__"])) for kind in kinds]

    def _has_loss(self, name: str) -> bool:
        losses = self._model.loss
        if isinstance(losses, dict):
            return losses.get(name) is not None
        return not isinstance(losses, (list, tuple)) or losses[list(self._names).index(name)] is not None

    def _see(self, metric: str, value: Any) -> None:
        if not metric.endswith(_ENDING):
            return
        if self._in_order is None:
            name = self._names.get(metric[: -len(_ENDING)])
        else:
            name = next((one for one in self._in_order if one not in self.found), None)
        if name is not None:
            self.found[name] = value

    def _shown(self, method: Any) -> Any:
        @functools.wraps(method)
        def shown(metric: Any, values: Any, *args: Any, **kwargs: Any) -> Any:
            self._see(metric.name, values)
            return method(metric, values, *args, **kwargs)

        return shown

    def _with_metrics_shown(self, method: Any) -> Any:
        """The method, while the metrics of the losses show what they get. Each has methods of its own."""

        def of_one(metric: Any) -> Any:
            update = metric.update_state

            def shown(values: Any, *args: Any, **kwargs: Any) -> Any:
                self._see(metric.name, values)
                return update(values, *args, **kwargs)

            return shown

        @functools.wraps(method)
        def shown(container: Any, y_true: Any, y_pred: Any, *args: Any, **kwargs: Any) -> Any:
            if not container._built:  # noqa: SLF001 (the same; Keras has no public name for either in 2.4)
                container.build(y_pred)
            metrics = [one for one in container._per_output_metrics if one is not None]  # noqa: SLF001
            with replaced((metric, "update_state", of_one(metric)) for metric in metrics):
                return method(container, y_true, y_pred, *args, **kwargs)

        return shown
