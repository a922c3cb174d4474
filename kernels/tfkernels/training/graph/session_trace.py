"""A trace of the training of a TensorFlow 1 graph in a session."""

import contextlib
import sys
from typing import Any, Dict, List, Mapping, Optional, Tuple

import numpy as np

from tfkernels.errors import TraceError
from tfkernels.models.keras_package import keras_of
from tfkernels.models.recorder import transform
from tfkernels.models.sessions import initialised, unfed_placeholder, without_hooks
from tfkernels.models.tensorflow_api import version
from tfkernels.training.graph import step_record
from tfkernels.training.graph.feeds import fed_names, feed_of_step
from tfkernels.training.graph.model_names import outputs_of, with_names_of
from tfkernels.training.graph.operations import variable_read_by
from tfkernels.training.graph.ordered_step import ordered
from tfkernels.training.graph.random_numbers import fetched
from tfkernels.training.graph.session_state import SessionState, slots_of
from tfkernels.training.graph.trained_graph import TrainedGraph, trained_graph
from tfkernels.training.graph.updates import optimizer_class
from tfkernels.training.optimizers import keras_text
from tfkernels.training.training_trace import Keeping, count_of, mark_of, new_trace, whole

_POWER = "beta1_power"


def trace_session(
    session: Any,
    loss: Any,
    train_op: Any,
    feeds: Any,
    outputs: Any,
    steps: int,
    keeping: Keeping,
    weights_from: Optional[Mapping[str, Any]] = None,
    mapping: Optional[Mapping[str, str]] = None,
    masks: Optional[Mapping[str, Any]] = None,
    keep: bool = False,
    model: Any = None,
) -> Dict[str, Any]:
    """Runs ``steps`` steps of ``train_op`` in ``session``, and returns what they computed, as a training trace.

    A step is one run of the session, with all values of it. Weights and slots are read between the runs. Weights
    and layers have the names of the graph, or of the Keras ``model`` if one is given.
    """
    steps = count_of("steps", steps)
    if model is not None and outputs is None:
        outputs = outputs_of(model)
    graph = trained_graph(session.graph, loss, train_op, outputs)
    graph = graph if model is None else with_names_of(model, graph)
    state = SessionState(without_hooks(session), graph, keeping)
    training = _Training(session, graph, keeping, model)
    feed_of = feed_of_step(feeds)
    records: List[Dict[str, Any]] = []
    weights_before: Dict[str, Any] = {}
    after: Dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        stack.callback(state.now())
        for number in range(steps):
            feed = feed_of(number)
            if weights_from is not None:
                state.set_from(weights_from, number, mapping or {})
            if masks is not None:
                feed.update(graph.draws.replaced(whole(masks, "random", number, "masks")))
            before = state.read() if number == 0 or weights_from is not None else after
            if number == 0:
                arrays = {**step_record.part_of(before, "weight"), **step_record.part_of(before, "statistic")}
                weights_before = training.kept("weight", arrays)
            values = training.run(feed, number)
            after = state.read()
            records.append(training.record(before, values, after))
            keeping.check()
        if keep:
            stack.pop_all()  # so that only an error puts the values back
    about = {**training.about(records), "weights_from": mark_of(weights_from)}
    return new_trace(about, weights_before, records, keeping)


class _Training:
    """The runs of one graph in one session, for one trace."""

    def __init__(self, session: Any, graph: TrainedGraph, keeping: Keeping, model: Any) -> None:
        self._session = session
        self._model = model
        self._graph = graph
        self._keeping = keeping
        self._raw = without_hooks(session)
        self._batch_size: Optional[int] = None
        self._settings: Dict[str, Any] = {}
        self._reduced: Dict[int, Tuple[Any, Any]] = {}  # large slots by id, of the last step and of this one
        self._reduced_now: Dict[int, Tuple[Any, Any]] = {}
        self._fetches = self._values_to_fetch()

    def run(self, feed: Dict[Any, Any], number: int) -> Dict[str, Any]:
        """One step. Returns the values from which the update was computed."""
        wanted = {**self._fetches, **self._sources_to_fetch(feed)}
        tensors: Dict[str, Any] = {}
        transform(wanted, lambda tensor: tensors.setdefault(tensor.name, tensor))
        variables = {name: getattr(variable_read_by(tensor), "name", None) for name, tensor in tensors.items()}
        earlier = {name: self._graph.variables[one] for name, one in variables.items() if one in self._graph.variables}
        during = [tensor for name, tensor in tensors.items() if name not in earlier]
        training = ordered(self._raw.graph, self._graph.training, during, self._inputs_of_updates())
        errors = sys.modules["tensorflow"].errors
        try:
            with initialised(TraceError):
                read = self._raw.run(earlier)
                found = self._session.run([during, training], feed)[0]
        except errors.OutOfRangeError as error:
            raise TraceError(f"the data ended before step {number + 1}. Trace fewer steps, or repeat them") from error
        except errors.InvalidArgumentError as error:
            name = unfed_placeholder(error)
            if not name:
                raise
            raise TraceError(f"step {number + 1}: feeds= has no value for the placeholder {name!r}") from error
        arrays = {name: _shaped(value, tensors[name]) for name, value in read.items()}
        arrays.update(zip((tensor.name for tensor in during), found))
        values: Dict[str, Any] = transform(wanted, lambda tensor: arrays[tensor.name])
        return values

    def record(self, before: Dict[str, Any], values: Dict[str, Any], after: Dict[str, Any]) -> Dict[str, Any]:
        """The step as a trace has it."""
        rate = step_record.learning_rate(values["learning_rate"])
        weights, weights_after = (step_record.part_of(state, "weight") for state in (before, after))
        inputs = step_record.sources_named(values["input"], "input")
        parts: Dict[str, Dict[str, Any]] = {
            "input": {**inputs, **step_record.sources_named(values["target"], "target")},
            "random": {name: array for name, array in values["random"].items() if np.ndim(array)},
            "output": values["output"],
            "loss": step_record.losses(values["loss"], values["data"], values["regularization"]),
            "unclipped_gradient": self._dense(values["unclipped_gradient"]),
            "gradient": self._dense(values["gradient"]),
            "slot_before": slots_of(self._graph, before, rate),
            "slot": slots_of(self._graph, after, rate),
            "update": {name: weights_after[name] - weights[name] for name in weights},
            "weight": weights_after,
            "statistic": step_record.part_of(after, "statistic"),
            "average": step_record.part_of(after, "average"),
        }
        self._settings = {**values["settings"]}
        self._batch_size = next((len(array) for array in inputs.values()), None)
        self._reduced, self._reduced_now = self._reduced_now, {}
        record: Dict[str, Any] = {part: self.kept(part, arrays) for part, arrays in parts.items()}
        record["learning_rate"] = rate
        record["iteration"] = step_record.iteration(
            self._settings.pop(_POWER, None), self._settings.get("beta_1"), before.get("counter/global_step")
        )
        return record

    def kept(self, part: str, arrays: Mapping[str, Any]) -> Dict[str, Any]:
        """What the trace keeps of ``arrays``."""
        reduced = self._reduced_slot if part in ("slot_before", "slot") else self._keeping.reduced
        return {
            name: transform(value, reduced)
            for name, value in arrays.items()
            if self._keeping.wants(part, name, part == "loss")
        }

    def _reduced_slot(self, array: Any) -> Any:
        """The array as it is kept. The slots after a step are those before the next one: they are reduced once."""
        before = self._reduced.get(id(array))
        kept = before[1] if before is not None and before[0] is array else self._keeping.reduced(array)
        if kept is not array:
            self._reduced_now[id(array)] = (array, kept)
        return kept

    def about(self, records: List[Dict[str, Any]]) -> Dict[str, Any]:
        kinds = [update.kind for update in self._graph.updates if update.kind]
        optimizer = None
        if kinds:
            rate = records[0]["learning_rate"] if records else None
            config = {name: step_record.plain(value) for name, value in self._settings.items()}
            kind = max(kinds, key=kinds.count)
            optimizer = {"class_name": optimizer_class(kind), "config": {"learning_rate": rate, **config}}
        return {
            "tensorflow": version(),
            "keras": None if self._model is None else keras_text(keras_of(self._model)),
            "form": "graph",
            "batch_size": self._batch_size,
            "optimizer": optimizer,
            **self._graph.about,
            "random_left_out": self._graph.draws.hidden,
        }

    def _values_to_fetch(self) -> Dict[str, Any]:
        """Tensors of what a step computes, by part. Gradients are pairs of values and indices."""
        graph, wanted = self._graph, self._keeping.would_take
        settings: Dict[str, Any] = {}
        for update in graph.updates:
            settings.update({name: value for name, value in update.settings.items() if name not in settings})
        return {
            "random": {name: fetched(self._raw.graph, tensor) for name, tensor in graph.draws.by_name.items()
                       if wanted("random", name)},
            "output": {name: value for name, value in graph.outputs.items() if wanted("output", name)},
            "loss": graph.loss,
            "data": graph.terms.data,
            "regularization": graph.terms.regularization,
            "gradient": {update.weight: tuple(update.gradient) for update in graph.updates
                         if update.gradient is not None and wanted("gradient", update.weight)},
            "unclipped_gradient": {update.weight: tuple(update.unclipped) for update in graph.updates
                                   if update.unclipped is not None and wanted("unclipped_gradient", update.weight)},
            "learning_rate": {update.weight: update.learning_rate for update in graph.updates
                              if update.learning_rate is not None},
            "settings": settings,
        }  # fmt: skip

    def _sources_to_fetch(self, feed: Mapping[Any, Any]) -> Dict[str, Any]:
        """Inputs and targets that have values with this ``feed``, by the names of their tensors."""
        fed = fed_names(self._raw.graph, feed)
        return {
            part: {tensor.name: tensor for tensor in tensors
                   if (tensor.op.type != "Placeholder" or tensor.name in fed) and tensor.graph.is_fetchable(tensor)}
            for part, tensors in zip(("input", "target"), self._graph.sources)
        }  # fmt: skip

    def _inputs_of_updates(self) -> List[Any]:
        gradients = [update.gradient for update in self._graph.updates if update.gradient is not None]
        return [tensor for gradient in gradients for tensor in gradient if tensor is not None]

    def _dense(self, gradients: Mapping[str, Any]) -> Dict[str, Any]:
        return {
            name: step_record.dense(gradient, self._graph.weights[name].get_shape().as_list())
            for name, gradient in gradients.items()
        }


def _shaped(value: Any, tensor: Any) -> Any:
    """The value of a variable in the shape of ``tensor``, which is the same memory."""
    shape = tensor.get_shape()
    return np.reshape(value, shape.as_list()) if shape.is_fully_defined() else value
