"""Every call of a layer while a model runs: what makes a trace of a model that was not written for it."""

import contextlib
import functools
import inspect
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional

from tfkernels.models import layer_names
from tfkernels.models.keras_package import keras_of, layer_classes
from tfkernels.models.recorder import Recorder, active
from tfkernels.models.replaced_attributes import replaced

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


Replacement = Callable[[str, Any], Any]
"""Gets the name and the outputs of a call, and returns what the layers behind it get instead."""


@contextlib.contextmanager
def layers_recorded(
    model: Any, recorder: Recorder, parts: bool = False, replacement: Optional[Replacement] = None
) -> "Iterator[LayerCalls]":
    """Meanwhile a call of ``model`` in this thread leaves its layers' outputs and its own in ``recorder``.

    With ``parts`` so does a call of a layer of it from outside the model, as in training steps that users write.
    """
    methods = [(kind, "__call__") for kind in layer_classes(model)]
    if keras_of(model).calls_directly:
        kinds = {kind: None for _, layer in layer_names.walk(model) for kind in type(layer).__mro__}
        methods += [(kind, name) for kind in kinds for name in ("call", _WITH_MASK, _MASK)]
    calls = LayerCalls(model, recorder, parts, replacement)
    own = [(kind, name, vars(kind)[name]) for kind, name in methods if name in vars(kind)]
    with replaced((kind, name, calls.recorded(method, name)) for kind, name, method in own):
        yield calls


class LayerCalls:
    """The calls of layers that have begun, and not ended yet. ``inputs`` are those of the model's first call."""

    def __init__(
        self, model: Any, recorder: Recorder, parts: bool = False, replacement: Optional[Replacement] = None
    ) -> None:
        self.inputs: Any = None
        self._model = model
        self._recorder = recorder
        self._replacement = replacement
        self._parts = {id(layer): path for path, layer in layer_names.walk(model)} if parts else {id(model): ""}
        self._frames: List[_Frame] = []
        self._outputs_so_called: List[Any] = []  # of a layer that is called what the model's own output is called

    @property
    def path(self) -> str:
        """The layer whose call runs."""
        return self._frames[-1].path if self._frames else ""

    def recorded(self, method: Any, name: str) -> Any:
        """A method that does the same, and leaves its outputs in the recorder."""

        @functools.wraps(method)
        def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
            if not self._wants(layer):
                return method(layer, *args, **kwargs)
            if layer is self._model and self.inputs is None and args:
                self.inputs = args[0]
            self._frames.append(_Frame(layer, "", None, []) if name == _MASK else self._frame(layer))
            try:
                result = method(layer, *args, **kwargs)
            finally:
                frame = self._frames.pop()
            return result if name == _MASK else self._add(frame.path, result, name)

        call.__signature__ = inspect.signature(method)  # type: ignore[attr-defined] # old Keras asks what it takes
        return call

    def _wants(self, layer: Any) -> bool:
        if active() is not self._recorder or not layer_names.counts(layer):
            return False
        if not self._frames:
            return id(layer) in self._parts
        return self._frames[-1].names is not None and not _continues(self._frames[-1].layer, layer)

    def _frame(self, layer: Any) -> _Frame:
        if not self._frames:
            path = self._parts[id(layer)]
            return _Frame(layer, path, _names(layer) if not path or layer_names.shows_inside(layer) else None, [])
        path = layer_names.join(self._frames[-1].path, _name(self._frames[-1], layer))
        return _Frame(layer, path, _names(layer) if layer_names.shows_inside(layer) else None, [])

    def _add(self, path: str, result: Any, method: str) -> Any:
        """Records the outputs in what a method returned, and returns what the caller gets."""
        outputs = _outputs(result, method)
        if path == OUTPUT:
            self._outputs_so_called.append(outputs)
        known = not path and any(outputs is one for one in self._outputs_so_called)
        if known or not self._recorder.takes(outputs):
            return result
        name = self._recorder.add(path or OUTPUT, outputs)
        if self._replacement is None or not path:
            return result
        return _with_outputs(result, method, self._replacement(name, outputs))


def _outputs(result: Any, name: str) -> Any:
    """The outputs in what the method ``name`` returned. Of one output ``__call__`` makes no list, and ``call`` may."""
    if name == "__call__":
        return result
    outputs = result[0] if name == _WITH_MASK else result
    return outputs[0] if isinstance(outputs, list) and len(outputs) == 1 else outputs


def _with_outputs(result: Any, name: str, outputs: Any) -> Any:
    """What the method ``name`` returned, with other outputs."""
    if name == "__call__":
        return outputs
    before = result[0] if name == _WITH_MASK else result
    if isinstance(before, list) and len(before) == 1:
        outputs = [outputs]
    return (outputs, *result[1:]) if name == _WITH_MASK else outputs


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
