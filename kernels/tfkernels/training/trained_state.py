"""Weights, slots and moving averages of a training, by our names: read, put back, and set from another trace."""

from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Set, Tuple

import numpy as np

from tfkernels.errors import TraceError, WeightsError
from tfkernels.models.keras_package import Keras
from tfkernels.models.layer_names import named_weights, take_name, walk
from tfkernels.models.match import match
from tfkernels.models.sessions import initialised
from tfkernels.models.tensorflow_api import in_graph_mode, nest, v1
from tfkernels.models.weights import load_weights
from tfkernels.training.optimizers import Optimizer, velocity_factor
from tfkernels.training.random_draws import MASK_COUNTS, eager_mask_counts
from tfkernels.training.training_trace import Keeping, whole


class State(NamedTuple):
    """Values at one moment, by name."""

    trained: Dict[str, Any]
    untrained: Dict[str, Any]
    slots: Dict[str, Any]
    averages: Dict[str, Any]
    iteration: Optional[int]
    learning_rate: Optional[float]
    velocities: Set[str]  # slots that a trace has divided by the rate of the step

    def slots_at(self, rate: Optional[float]) -> Dict[str, Any]:
        factor = velocity_factor(rate)
        return {name: value / factor if name in self.velocities else value for name, value in self.slots.items()}


class TrainedState:
    """The variables of one training. ``trained`` are those that the optimizer changes, in its order."""

    def __init__(
        self, model: Any, keras: Optional[Keras], optimizer: Optional[Optimizer], trained: Optional[List[Any]] = None
    ) -> None:
        self._model = model
        self._keras = keras
        self._optimizer = optimizer
        by_name = dict(named_weights(model)) if model is not None else {}
        known = {id(variable) for variable in by_name.values()}
        for variable in trained or ():
            if id(variable) not in known:
                known.add(id(variable))
                by_name[take_name(variable.name.split(":")[0], set(by_name), "_")] = variable
        if trained is None:  # Keras's first models train what was trainable when they were compiled
            trained = getattr(model, "_collected_trainable_weights", None) or model.trainable_weights
        self.trained = list(trained)
        chosen = {id(variable) for variable in self.trained}
        self.by_name = {name: variable for name, variable in by_name.items() if id(variable) in chosen}
        self._untrained = {name: variable for name, variable in by_name.items() if id(variable) not in chosen}
        self.names = {id(variable): name for name, variable in self.by_name.items()}
        for variable in self.trained:  # Keras 3 holds a variable of TensorFlow in its own
            inner = getattr(variable, "_value", None)
            if inner is not None:
                self.names.setdefault(id(inner), self.names[id(variable)])

    def shapes(self) -> Dict[str, List[int]]:
        return {name: [int(size) for size in variable.shape] for name, variable in self.by_name.items()}

    def values(self, variables: List[Any]) -> List[Any]:
        if not variables:
            return []
        if self._keras is not None:
            return list(self._keras.values(variables))
        return [variable.numpy() for variable in variables]

    def value(self, one: Any) -> Any:
        """The value of a variable or a tensor."""
        return one.numpy() if hasattr(one, "numpy") and not in_graph_mode() else self.values([one])[0]

    def read(self) -> State:
        slots: Dict[str, Any] = {}
        averages: Dict[str, Any] = {}
        velocities: Set[str] = set()
        if self._optimizer is not None:
            for slot in self._optimizer.slots(self.trained):
                name = f"{self.names[id(slot.weight)]}/{slot.name}"
                slots[name] = slot.variable
                velocities |= {name} if slot.velocity else set()
            averages = {self.names[id(weight)]: own for weight, own in self._optimizer.averages(self.trained)}
        groups = (self.by_name, self._untrained, slots, averages)
        with initialised(TraceError):
            found = iter(self.values([variable for group in groups for variable in group.values()]))
        trained, untrained, slots, averages = ({name: next(found) for name in group} for group in groups)
        rate = self._optimizer.learning_rate(self.value) if self._optimizer is not None else None
        return State(trained, untrained, slots, averages, self._iteration(), rate, velocities)

    def now(self) -> Callable[[], None]:
        """A function that gives all variables the values that they have now."""
        variables: Dict[int, Any] = {}
        held = [*self.by_name.values(), *self._untrained.values(), *(getattr(self._model, "variables", None) or ())]
        for metric in getattr(self._model, "metrics", None) or ():
            held += list(getattr(metric, "variables", ()))
        held += [one for one in (getattr(self._model, "_train_counter", None),) if one is not None]
        for _, layer in walk(self._model) if self._model is not None else ():
            states = getattr(layer, "states", None) if getattr(layer, "stateful", False) else None
            held += [state for state in nest().flatten(states) if hasattr(state, "assign")]
        if self._optimizer is not None:
            held += self._optimizer.variables()
        counts_back = None
        if in_graph_mode():
            held += v1().get_collection(MASK_COUNTS)
        else:  # a graph cannot read what counts eagerly
            counts_back = eager_mask_counts()
        for variable in held:
            variables.setdefault(id(variable), variable)
        with initialised(TraceError):
            values = self.values(list(variables.values()))

        def put_back() -> None:
            self._write(list(zip(variables.values(), values)))
            if counts_back is not None:
                counts_back()

        return put_back

    def set_from(self, trace: Mapping[str, Any], number: int) -> None:
        """Sets weights and slots to those with which the step ``number`` (from 0) of another trace began.

        Slots that the other trace lacks keep their values.
        """
        arrays = whole(trace, "weights_before", 0, "weights_from")
        if number:
            for part in ("weight", "statistic"):
                arrays.update(whole(trace, part, number - 1, "weights_from"))
        shapes = {name: np.shape(array) for name, array in arrays.items()}
        target = {**self.by_name, **self._untrained}
        known = {name: tuple(np.shape(value)) for name, value in zip(target, self.values(list(target.values())))}
        source_of = {pair.target: pair.source for pair in match(known, shapes, {})}
        lost = [name for name in self.by_name if name not in source_of]
        if lost:
            raise WeightsError(
                f"weights_from: the other trace has no weight for {', '.join(lost)}. It has {', '.join(arrays)}"
            )
        load_weights(self._model if self._model is not None else target, arrays, partial=True)
        if self._optimizer is None:
            return
        theirs = whole(trace, "slot_before", number, "weights_from")
        rate = self._optimizer.learning_rate(self.value)
        pairs = []
        for slot in self._optimizer.slots(self.trained):
            value = theirs.get(f"{source_of[self.names[id(slot.weight)]]}/{slot.name}")
            if value is not None:
                factor = velocity_factor(rate) if slot.velocity else 1
                pairs.append((slot.variable, np.asarray(value) * factor))
        iteration = trace["steps"][number].get("iteration")
        if iteration is not None and self._optimizer.iterations is not None:
            pairs.append((self._optimizer.iterations, np.asarray(iteration)))
        self._write(pairs)

    def _iteration(self) -> Optional[int]:
        steps = self._optimizer.iterations if self._optimizer is not None else None
        return None if steps is None else int(self.value(steps))

    def _write(self, pairs: List[Tuple[Any, Any]]) -> None:
        if self._keras is not None and hasattr(self._keras.backend, "batch_set_value"):
            self._keras.backend.batch_set_value(pairs)
            return
        for variable, value in pairs:
            dtype = np.dtype(str(getattr(variable.dtype, "name", variable.dtype)))
            variable.assign(np.asarray(value).astype(dtype, copy=False))


class StateParts:
    """The parts of a step that are states: before and after it. What did not change is reduced once."""

    def __init__(self, keeping: Keeping) -> None:
        self._keeping = keeping
        self._reduced: Dict[Tuple[str, str], Tuple[Any, Any]] = {}

    def weights(self, state: State) -> Dict[str, Any]:
        """All weights, as ``weights_before`` has them."""
        return {**self._part("weight", state.trained), **self._part("weight", state.untrained, "statistic")}

    def before(self, state: State) -> Dict[str, Any]:
        return {"slot_before": self._part("slot_before", state.slots_at(state.learning_rate), "slot")}

    def after(self, before: State, after: State) -> Dict[str, Any]:
        keeping = self._keeping
        return {
            "slot": self._part("slot", after.slots_at(before.learning_rate)),
            "update": {
                name: keeping.reduced(value - before.trained[name])
                for name, value in after.trained.items()
                if keeping.wants("update", name)
            },
            "weight": self._part("weight", after.trained),
            "statistic": self._part("statistic", after.untrained),
            "average": self._part("average", after.averages),
        }

    def _part(self, part: str, arrays: Mapping[str, Any], like: str = "") -> Dict[str, Any]:
        return {
            name: self._once((like or part, name), array)
            for name, array in arrays.items()
            if self._keeping.wants(part, name)
        }

    def _once(self, key: Tuple[str, str], array: Any) -> Any:
        """The array as it is kept. Of a large one that is the same as last time, the statistics of last time."""
        before = self._reduced.get(key)
        if before is not None and before[0] is array:
            return before[1]
        kept = self._keeping.reduced(array)
        if kept is array:
            return array
        if before is not None and np.array_equal(before[0], array):
            kept = before[1]
        self._reduced[key] = (array, kept)
        return kept
