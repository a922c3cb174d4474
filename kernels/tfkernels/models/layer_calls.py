"""Every call of a layer while a model runs: what makes a trace of a model that was not written for it."""

from __future__ import annotations

import contextlib
from typing import Any, Iterator, NamedTuple

from tfkernels.models import layer_names
from tfkernels.models.recorder import Recorder, active

OUTPUT = "output"
"""The name that a model's own output has in its trace."""


class _Frame(NamedTuple):
    """A layer whose call has begun."""

    layer: Any
    path: str
    names: dict[int, str] | None  # of the layers in it, by id; None if they are not of interest
    strangers: list[Any]  # those that got a name here: they must live as long as their ids are used


@contextlib.contextmanager
def layers_recorded(model: Any, recorder: Recorder) -> Iterator[None]:
    """Meanwhile a call of ``model`` in this thread leaves its layers' outputs and its own in ``recorder``."""
    originals: list[Any] = [
        (kind, kind.__call__) for kind in layer_names.layer_classes(model) if "__call__" in vars(kind)
    ]
    frames: list[_Frame] = []
    for kind, original in originals:
        kind.__call__ = _recording_call(original, model, recorder, frames)
    try:
        yield
    finally:
        for kind, original in originals:
            kind.__call__ = original


def _recording_call(original: Any, model: Any, recorder: Recorder, frames: list[_Frame]) -> Any:
    outputs_so_called: list[Any] = []  # of a layer that is called what the model's own output is called

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        # The same layer again is the older class's __call__, which a newer one has called.
        wanted = frames[-1].names is not None and frames[-1].layer is not layer if frames else layer is model
        if active() is not recorder or not layer_names.counts(layer) or not wanted:
            return original(layer, *args, **kwargs)
        path = layer_names.join(frames[-1].path, _name(frames[-1], layer)) if frames else ""
        frames.append(_Frame(layer, path, _names(layer) if not frames or layer_names.shows_inside(layer) else None, []))
        try:
            outputs = original(layer, *args, **kwargs)
        finally:
            frames.pop()
        if path == OUTPUT:
            outputs_so_called.append(outputs)
        known = not path and any(outputs is one for one in outputs_so_called)
        if not known and recorder.takes(outputs):
            recorder.add(path or OUTPUT, outputs)
        return outputs

    return call


def _names(layer: Any) -> dict[int, str]:
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
