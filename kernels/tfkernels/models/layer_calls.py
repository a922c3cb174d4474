"""Every call of a layer while a model runs: what makes a trace of a model that was not written for it."""

import contextlib
import functools
import inspect
from typing import Any, Dict, Iterator, List, NamedTuple, Optional

from tfkernels.models import layer_names
from tfkernels.models.keras_package import keras_of, layer_classes
from tfkernels.models.recorder import Recorder, active

OUTPUT = "output"
"""The name that a model's own output has in its trace."""


class _Frame(NamedTuple):
    """A layer whose call has begun."""

    layer: Any
    path: str
    names: Optional[Dict[int, str]]  # of the layers in it, by id; None if they are not of interest
    strangers: List[Any]  # those that got a name here: they must live as long as their ids are used


_WITH_MASK = "_call_and_compute_mask"
"""The method of a model that a model around it uses in TensorFlow 1.10 to 1.13. It returns outputs and masks."""

_MASK = "compute_mask"
"""The method of a layer, which in some of them calls all layers inside once more."""


@contextlib.contextmanager
def layers_recorded(model: Any, recorder: Recorder) -> Iterator[None]:
    """Meanwhile a call of ``model`` in this thread leaves its layers' outputs and its own in ``recorder``."""
    methods = [(kind, "__call__") for kind in layer_classes(model)]
    if keras_of(model).calls_directly:
        kinds = {kind: None for _, layer in layer_names.walk(model) for kind in type(layer).__mro__}
        methods += [(kind, name) for kind in kinds for name in ("call", _WITH_MASK, _MASK)]
    originals = [(kind, name, vars(kind)[name]) for kind, name in methods if name in vars(kind)]
    calls = _Calls(model, recorder)
    for kind, name, original in originals:
        setattr(kind, name, calls.recorded(original, name))
    try:
        yield
    finally:
        for kind, name, original in originals:
            setattr(kind, name, original)


class _Calls:
    """The calls of layers that have begun, and not ended yet."""

    def __init__(self, model: Any, recorder: Recorder) -> None:
        self._model = model
        self._recorder = recorder
        self._frames: List[_Frame] = []
        self._outputs_so_called: List[Any] = []  # of a layer that is called what the model's own output is called

    def recorded(self, method: Any, name: str) -> Any:
        """A method that does the same, and leaves its outputs in the recorder."""

        @functools.wraps(method)
        def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
            if not self._wants(layer):
                return method(layer, *args, **kwargs)
            self._frames.append(_Frame(layer, "", None, []) if name == _MASK else self._frame(layer))
            try:
                result = method(layer, *args, **kwargs)
            finally:
                frame = self._frames.pop()
            if name != _MASK:
                self._add(frame.path, _outputs(result, name))
            return result

        call.__signature__ = inspect.signature(method)  # type: ignore[attr-defined] # old Keras asks what it takes
        return call

    def _wants(self, layer: Any) -> bool:
        if active() is not self._recorder or not layer_names.counts(layer):
            return False
        if not self._frames:
            return layer is self._model
        return self._frames[-1].names is not None and not _continues(self._frames[-1].layer, layer)

    def _frame(self, layer: Any) -> _Frame:
        if not self._frames:
            return _Frame(layer, "", _names(layer), [])
        path = layer_names.join(self._frames[-1].path, _name(self._frames[-1], layer))
        return _Frame(layer, path, _names(layer) if layer_names.shows_inside(layer) else None, [])

    def _add(self, path: str, outputs: Any) -> None:
        if path == OUTPUT:
            self._outputs_so_called.append(outputs)
        known = not path and any(outputs is one for one in self._outputs_so_called)
        if not known and self._recorder.takes(outputs):
            self._recorder.add(path or OUTPUT, outputs)


def _outputs(result: Any, name: str) -> Any:
    """The outputs in what the method ``name`` returned. Of one output ``__call__`` makes no list, and ``call`` may."""
    if name == "__call__":
        return result
    outputs = result[0] if name == _WITH_MASK else result
    return outputs[0] if isinstance(outputs, list) and len(outputs) == 1 else outputs


def _continues(caller: Any, layer: Any) -> bool:
    """Whether this is the same call: the older class's method, which a newer one has called, or of a model's own."""
    return caller is layer or (layer_names.is_a(caller, "Sequential") and vars(caller).get("model") is layer)


def _names(layer: Any) -> Dict[int, str]:
    """The names of the layers in ``layer`` as seen from it, by id."""
    names = {id(child): name for name, child in layer_names.named_children(layer)}
    for path, child in layer_names.walk(layer):
        names.setdefault(id(child), path)
    return names


def _name(frame: _Frame, layer: Any) -> str:
    """The name of ``layer`` in the one whose call runs; a new name if it belongs to no layer there."""
    assert frame.names is not None
    if id(layer) not in frame.names:
        (stem,) = layer_names.renumbered([(layer.name, type(layer).__name__)])
        frame.names[id(layer)] = layer_names.take_name(stem, set(frame.names.values()), "_")
        frame.strangers.append(layer)
    return frame.names[id(layer)]
