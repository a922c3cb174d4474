"""The variables of a training in a session: read, set from another trace, and put back."""

from typing import Any, Callable, Dict, Mapping, Optional

import numpy as np

from tfkernels.errors import TraceError
from tfkernels.models.sessions import initialised
from tfkernels.models.weights import load_weights
from tfkernels.training.graph.operations import changed, closure, variable_behind
from tfkernels.training.graph.step_record import iteration, part_of
from tfkernels.training.graph.trained_graph import TrainedGraph
from tfkernels.training.training_trace import Keeping, whole


class SessionState:
    """Values are ``PART/NAME``, with parts ``weight``, ``statistic``, ``slot``, ``average`` and ``counter``."""

    def __init__(self, session: Any, graph: TrainedGraph, keeping: Keeping) -> None:
        self._session = session
        self._graph = graph
        self._variables = _variables_to_read(graph, keeping)

    def read(self) -> Dict[str, Any]:
        with initialised(TraceError):
            values: Dict[str, Any] = self._session.run(self._variables)
        return values

    def now(self) -> Callable[[], None]:
        """A function that gives all variables that a training changes the values that they have now."""
        names = {variable.name for operation in closure(self._graph.training) for variable in changed(operation)}
        held = {name: variable for name, variable in self._graph.variables.items() if name in names}
        held.update(self._graph.weights)
        held.update({variable.op.name: variable for variable in self._graph.slots.values()})
        with initialised(TraceError):
            values = self._session.run(held)
        return lambda: self._set(held, values)

    def set_from(self, trace: Mapping[str, Any], number: int, mapping: Mapping[str, str]) -> None:
        """Sets what the step ``number`` (from 0) of another trace began with: weights, slots, count of steps.

        Slots that the other trace lacks keep their values.
        """
        arrays = whole(trace, "weights_before", 0, "weights_from")
        if number:
            for part in ("weight", "statistic"):
                arrays.update(whole(trace, part, number - 1, "weights_from"))
        theirs = whole(trace, "slot_before", number, "weights_from")
        step = trace["steps"][number]
        with self._session.graph.as_default(), self._session.as_default():
            report = load_weights(self._graph.weights, arrays, mapping)
        source_of = {one.target: one.source for one in report.matched}
        slots = {}
        for name in self._graph.slots:
            weight, _, slot = name.rpartition("/")
            value = theirs.get(f"{source_of.get(weight)}/{slot}")
            if value is not None:
                slots[name] = np.asarray(value) * factor(self._graph, name, step.get("learning_rate"))
        self._set({name: self._graph.slots[name] for name in slots}, slots)
        if step.get("iteration") is not None:
            self._count(step["iteration"])

    def _count(self, steps: int) -> None:
        """Sets the counters to ``steps``. Powers of Adam's betas are their own count, and stay if they are right."""
        counters: Dict[str, Any] = {}
        values: Dict[str, Any] = {}
        if self._graph.global_step is not None:
            counters["global_step"], values["global_step"] = self._graph.global_step, np.asarray(steps)
        for update in self._graph.updates:
            for power, beta in (("beta1_power", "beta_1"), ("beta2_power", "beta_2")):
                behind = variable_behind(update.settings[power]) if power in update.settings else None
                variable = self._graph.variables.get(getattr(behind, "name", ""))
                if variable is not None and variable.op.name not in counters:
                    now, base = self._session.run([variable, update.settings[beta]])
                    if iteration(now, base, None) != steps:
                        counters[variable.op.name], values[variable.op.name] = variable, base ** (steps + 1)
        self._set(counters, values)

    def _set(self, variables: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        with self._session.graph.as_default(), self._session.as_default():
            load_weights(dict(variables), values)


def factor(graph: TrainedGraph, slot: str, rate: Optional[float]) -> Any:
    """What makes the graph's slot of ours: Keras's SGD keeps - rate x momentum."""
    weight, _, name = slot.rpartition("/")
    kinds = [update.kind for update in graph.updates if update.weight == weight]
    return np.float32(-rate) if rate and name == "momentum" and kinds == ["KerasMomentum"] else np.float32(1)


def slots_of(graph: TrainedGraph, state: Mapping[str, Any], rate: Optional[float]) -> Dict[str, Any]:
    """The slots in a state, as a trace has them."""
    slots = part_of(state, "slot")
    factors = {name: factor(graph, name, rate) for name in slots}
    return {name: array if factors[name] == 1 else array / factors[name] for name, array in slots.items()}


def _variables_to_read(graph: TrainedGraph, keeping: Keeping) -> Dict[str, Any]:
    wanted = keeping.would_take
    of_part: Dict[str, Dict[str, Any]] = {
        "weight": {name: graph.weights[name] for name in graph.trained
                   if wanted("weight", name) or wanted("update", name)},
        "statistic": {name: graph.weights[name] for name in graph.statistics if wanted("statistic", name)},
        "slot": {name: variable for name, variable in graph.slots.items()
                 if wanted("slot", name) or wanted("slot_before", name)},
        "average": {name: variable for name, variable in graph.averages.items() if wanted("average", name)},
        "counter": {} if graph.global_step is None else {"global_step": graph.global_step},
    }  # fmt: skip
    return {f"{part}/{name}": variable for part, by_name in of_part.items() for name, variable in by_name.items()}
