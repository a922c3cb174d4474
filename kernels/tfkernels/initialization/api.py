"""``same_start``: the weights of a model or of a session set to what they begin with in every release."""

import fnmatch
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

import numpy as np

from tfkernels.errors import WeightsError
from tfkernels.initialization import draws, eager_masks, graph_masks, graph_weights, keras_weights
from tfkernels.initialization.philox import stream
from tfkernels.models.initializers import Initializer, initializer
from tfkernels.models.keras_package import is_layer, keras_of
from tfkernels.models.layer_names import walk
from tfkernels.models.match import keys
from tfkernels.models.sessions import is_session
from tfkernels.models.tensorflow_api import in_graph_mode, v1
from tfkernels.models.weights import initialise, load_weights, shapes_of, weights

KEPT = "kept as it is"


class SameStart(NamedTuple):
    """What was set. ``weights``: by name, in words, the initializer that a weight was drawn by."""

    seed: int
    weights: Dict[str, str]
    dropouts: List[str]
    """Layers whose dropout masks or noise are equal in every release from now on."""
    other_random: List[str]
    """Layers that still draw numbers of their release."""

    def __repr__(self) -> str:
        kept = [name for name, how in self.weights.items() if how == KEPT]
        lines = [f"{len(self.weights) - len(kept)} weights begin as seed {self.seed} says, in every release"]
        width = max(map(len, self.weights), default=0)
        lines += [f"  {name:{width}}  {how}" for name, how in self.weights.items()]
        if self.dropouts:
            lines.append(f"dropout masks are equal in every release: {', '.join(self.dropouts)}")
        if self.other_random:
            lines.append(f"random numbers are those of this release: {', '.join(self.other_random)}")
        return "\n".join(lines)


def same_start(
    target: Any,
    seed: int = 7,
    mapping: Optional[Mapping[str, str]] = None,
    initializers: Optional[Mapping[str, Any]] = None,
    dropout: bool = True,
) -> SameStart:
    """Sets the weights of a Keras model or of a session to the same initial values in every release.

    A weight is drawn by its initializer, its shape and its name (as in ``tfkernels.weights``), by a generator of our
    own. So two models whose weights have the same of these begin equal to the last bit, and two training curves can
    be laid over each other. Of a session all global variables are initialised, those of optimizers too.

    ``mapping``: ``{name here: name to draw by}``, where the other side has other names. ``initializers``: of weights
    whose initializer is not known, by their names or by patterns with ``*``: ``{"scale/w": "he_normal"}``.

    The masks of dropouts, and the noise of ``GaussianNoise`` and ``GaussianDropout``, are equal, too: a mask depends
    on the layer's name, and on how many it drew before in training. Of a session so is all noise of
    ``tf.random_normal``. Call it before the first training step: functions that were translated before keep their
    numbers. ``dropout=False`` leaves them alone. In a graph the session starts again for it: its variables keep their
    values, and iterators of ``tf.data`` have to be initialised again.

    Names count in Keras's spelling: ``conv1/weights`` is drawn as ``conv1/kernel``. A weight that is not trained and
    whose initializer is not known, or that has the same number everywhere, stays as it is; the report says so.

    Raises ``WeightsError`` before anything is set if a trained weight has no known initializer.
    """
    chosen = _Chosen(seed, dict(mapping or {}), dict(initializers or {}), dropout)
    if is_session(target):
        return _of_session(target, chosen)
    if is_layer(target):
        return _of_model(target, chosen)
    raise WeightsError(f"same_start() needs a Keras model or a session, got a {type(target).__name__}")


class _Chosen(NamedTuple):
    """What the caller chose."""

    seed: int
    mapping: Dict[str, str]
    initializers: Dict[str, Any]
    dropout: bool

    def check(self, names: List[str]) -> None:
        unknown = [name for name in self.mapping if name not in names]
        unknown += [one for one in self.initializers if not fnmatch.filter(names, one)]
        if unknown:
            raise WeightsError(
                f"same_start: no weight is called {unknown[0]!r}. tfkernels.weights(target) has the names"
            )

    def initializer(self, name: str) -> Optional[Initializer]:
        for pattern, value in self.initializers.items():
            if fnmatch.fnmatchcase(name, pattern):
                found = initializer(value)
                if found is None:
                    raise WeightsError(
                        f"same_start does not know the initializer {value!r} of {name}. Give one of Keras's, such as "
                        "'glorot_uniform' or {'class_name': 'RandomNormal', 'config': {'stddev': 0.02}}"
                    )
                return found
        return None

    def names(self, name: str, shape: Tuple[int, ...]) -> Tuple[Any, ...]:
        """What the numbers of a weight depend on."""
        name = self.mapping.get(name, name)
        return ("weight", self.seed, "/".join(keys([name])[name]), "x".join(map(str, shape)))


def _of_model(model: Any, chosen: _Chosen) -> SameStart:
    values = weights(model)
    begins = keras_weights.begins(model, {name: value.shape for name, value in values.items()})
    chosen.check(list(values))
    arrays, how = {}, {}
    for name, begin in begins.items():
        given = chosen.initializer(name) or begin.initializer
        if given is None:
            if begin.trained and not _is_constant(values[name]):
                raise _unknown(name)
            how[name] = KEPT
            continue
        drawn = draws.draw(given, begin.shape, stream(*chosen.names(name, begin.shape)))
        begin = begin._replace(initializer=given)
        arrays[name] = keras_weights.array(begin, drawn).astype(np.float32)  # so that a float64 model begins equal, too
        how[name] = str(begin)
    load_weights(model, {**{name: values[name] for name in values if name not in arrays}, **arrays})
    return SameStart(chosen.seed, how, *(_masks_of_model(model, chosen.seed) if chosen.dropout else ([], [])))


def _masks_of_model(model: Any, seed: int) -> Tuple[List[str], List[str]]:
    """The layers whose masks are equal in every release from now on, and those whose are not."""
    keras = keras_of(model)
    layers = [path for path, _ in eager_masks.dropping(model)]
    if not layers:
        return [], []
    for function in ("train_function", "test_function", "predict_function"):
        if getattr(model, function, None) is not None:
            setattr(model, function, None)  # it is made of what is replaced now
    if not keras.builds_graphs:
        ours = eager_masks.replace(model, seed)
    elif in_graph_mode():
        with keras.session(list(model.weights)) as session:
            scopes = {layer.name: path for path, layer in walk(model) if path}
            of_operation = graph_masks.layer_of_operation(model)
            found = graph_masks.sites(session.graph, model.outputs)
            found = [site for site in found if site.rate is not None or of_operation.get(site.operation.name) in layers]
            ours = graph_masks.replace(session, found, of_operation, scopes, seed)
    else:
        ours = []
    return ours, [path for path in layers if path not in ours]


def _of_session(session: Any, chosen: _Chosen) -> SameStart:
    with session.graph.as_default():
        variables = graph_weights.by_name(v1().global_variables())
    initial = {one.name for each in variables.values() for one in graph_weights.random_operations(_initial(each))}
    found = [site for site in graph_masks.sites(session.graph) if site.operation.name not in initial]
    found = found if chosen.dropout else []
    chosen.check([*variables, *(graph_masks.scope_of(site.operation.name) for site in found)])
    shapes, how, arrays, rest = shapes_of(variables), {}, [], []
    for name, variable in variables.items():
        value = _initial(variable)
        operations = graph_weights.random_operations(value)
        names = chosen.names(name, shapes[name])
        given = chosen.initializer(name)
        if given is None and len(operations) == 1:
            given = graph_weights.initializer_of(session, value)
        if given is not None:
            drawn = draws.draw(given, shapes[name], stream(*names))
            arrays.append((variable, drawn.astype(np.float32).astype(value.dtype.base_dtype.as_numpy_dtype)))
            how[name] = str(given)
        elif operations:
            arrays.append((variable, graph_weights.computed(session, value, name, *names)))
            how[name] = "computed by the graph from numbers of ours"
        else:
            rest.append(variable.initializer)
    initialise(session, arrays)
    session.run(rest)
    ours = graph_masks.replace(session, found, {}, chosen.mapping, chosen.seed)
    others = graph_masks.other_random(session.graph, initial) if chosen.dropout else []
    return SameStart(chosen.seed, how, ours, others)


def _initial(variable: Any) -> Any:
    return variable.initializer.inputs[1]


def _is_constant(value: Any) -> bool:
    return bool(value.size and (value == value.flat[0]).all())


def _unknown(name: str) -> WeightsError:
    return WeightsError(
        f"same_start cannot draw {name}: its layer does not say with which initializer it begins. Give it: "
        f"initializers={{{name!r}: 'glorot_uniform'}}. Nothing was set"
    )
