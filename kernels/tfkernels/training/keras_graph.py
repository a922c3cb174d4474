"""Training steps of Keras models that compute in a graph: TensorFlow 1, and 2 where it builds graphs.

The model is called once more, in training mode, as the only layer of a model around it. That one is compiled as the
model is, with the same optimizer, and Keras makes its train function. So layers have the names of other traces,
dropouts can be fed, and losses, updates and masks are Keras's own. See docs/design/training-traces.md.
"""

import contextlib
import functools
import inspect
import sys
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple

import numpy as np

from tfkernels.errors import TraceError
from tfkernels.models.keras_package import Keras
from tfkernels.models.layer_calls import layers_recorded
from tfkernels.models.layer_names import walk
from tfkernels.models.recorder import Recorder, active, recording, transform
from tfkernels.models.replaced_attributes import replaced
from tfkernels.models.sessions import unfed_placeholder
from tfkernels.models.tensorflow_api import nest, v1
from tfkernels.models.trace import arguments_kept, lists_kept, prepared_inputs
from tfkernels.training import repeated_losses
from tfkernels.training.batches import Batch, inputs_named, targets_named
from tfkernels.training.first_call_losses import add_own_losses, first_call_feed, regularizers_left_out
from tfkernels.training.optimizers import UPDATES, Optimizer, whole_gradient
from tfkernels.training.output_losses import OutputLosses
from tfkernels.training.random_draws import REPLACED, HandedOver, NamedDraws, draws_pass
from tfkernels.training.step_counts import counted_after_reading
from tfkernels.training.step_records import NO_GRADIENT, gradients_of
from tfkernels.training.trained_state import TrainedState
from tfkernels.training.training_trace import Keeping


class GraphSteps:
    """The steps of a compiled ``model``, while :meth:`open` is entered."""

    def __init__(
        self, model: Any, keras: Keras, optimizer: Optimizer, state: TrainedState, keeping: Keeping,
        class_weight: Optional[Mapping[int, float]],
    ) -> None:  # fmt: skip
        self._model = model
        self._keras = keras
        self._optimizer = optimizer
        self._state = state
        self._keeping = keeping
        self._class_weight = class_weight
        self._recorder: Any = None
        self._draws = NamedDraws()
        self._of_outputs = OutputLosses(model)
        self._wrapper: Any = None
        self._forward: List[Any] = []  # what is computed before anything is updated
        self._raw: Dict[str, Any] = {}
        self._used: Dict[str, Any] = {}
        self._losses: Dict[str, Any] = {}
        self._phase: Any = None  # of Keras, while it is a constant
        self._masked = False
        self._tensors: Dict[str, Any] = {}
        self._feed: Dict[Any, Any] = {}
        self._values: Dict[str, Any] = {}

    @contextlib.contextmanager
    def open(self, batch: Batch, keep: bool) -> Iterator[None]:
        """Builds the model around the model. Afterwards layers and optimizer are as they were, but for the graph."""
        model, keras = self._model, self._keras
        graph = keras.graph(list(model.weights) if keras.has_built(model) else [])
        if graph.finalized:
            raise TraceError(
                f"the graph of the model {model.name} is finalized, and a trace adds a training step to it. Trace the "
                "model before tf.train.MonitoredSession or graph.finalize() finalizes it"
            )
        legacy = hasattr(self._optimizer.inner, "get_updates") and not hasattr(self._optimizer.inner, "_create_slots")
        if keep and legacy and getattr(model, "train_function", True) is None:
            with graph.as_default():
                model._make_train_function()  # noqa: SLF001 (so that the model has slots that can be kept)
        self._recorder = Recorder(graph)
        with contextlib.ExitStack() as stack:
            stack.enter_context(keras.session(list(model.weights)))
            stack.enter_context(_nodes_kept(model))
            stack.enter_context(lists_kept(model, graph))
            stack.enter_context(arguments_kept(model))
            stack.enter_context(_losses_of_first_call_left_out(model))
            self._phase = stack.enter_context(_training_phase(keras, graph))
            self._build(batch)
            stack.enter_context(self._train_functions_watched())
            before = self._slot_values() if legacy else []
            if legacy:
                stack.enter_context(self._slots_kept(before, keep))
            self._wrapper._make_train_function()  # noqa: SLF001 (Keras makes slots there, which are read before a step)
            if before:
                keras.backend.batch_set_value(list(zip(self._slot_variables(), (value for _, value in before))))
            yield

    def run(self, batch: Batch, handed: Optional[HandedOver]) -> Dict[str, Dict[str, Any]]:
        x = nest().flatten(prepared_inputs(self._model, self._keras, batch.x))
        self._feed = first_call_feed(self._model, self._wrapper.losses, x, self._phase)
        self._masked = handed is not None
        if handed is not None:
            for name, place in self._draws.found.items():
                shape = place.get_shape()
                self._feed[place] = handed.take(name, None if shape.ndims is None else shape.as_list())
        weights = {
            "sample_weight": self._by_output(batch.sample_weight),
            "class_weight": self._by_output(self._class_weight),
        }
        given = {name: value for name, value in weights.items() if value is not None}
        self._wrapper.train_on_batch(x if len(x) > 1 else x[0], self._by_output(batch.y), **given)
        values = self._values
        outputs = {name: transform(value, self._keeping.reduced) for name, value in values["output"].items()}
        loss = values["loss"]
        losses = {"loss": loss["loss"], "data": loss["loss"], "regularization": loss["loss"].dtype.type(0)}
        if "regularization" in loss:
            losses["regularization"] = loss["regularization"]
            losses["data"] = loss["loss"].dtype.type(np.float64(loss["loss"]) - np.float64(loss["regularization"]))
        losses.update({name: value for name, value in loss.items() if name.startswith("data/")})
        return {
            "input": {**inputs_named(self._model, x), **targets_named(self._model, batch)},
            "random": values["random"],
            "output": outputs,
            "loss": losses,
            **gradients_of(values["raw"], values["used"], self._state.shapes()),
        }

    def _build(self, batch: Batch) -> None:
        model, keras = self._model, self._keras
        root = sys.modules["tensorflow"].keras if keras.name.startswith("tensorflow") else sys.modules[keras.name]
        structure = prepared_inputs(model, keras, batch.x)
        stateful = getattr(model, "stateful", False)
        places = nest().map_structure(
            lambda array: root.layers.Input(
                batch_shape=array.shape if stateful else (None, *array.shape[1:]), dtype=str(array.dtype)
            ),
            structure,
        )
        options = {"training": True} if "training" in inspect.signature(model.call).parameters else {}
        counts: Dict[str, int] = {}
        with regularizers_left_out(model), recording(self._recorder), layers_recorded(model, self._recorder) as calls:

            def through(numbers: Any, _: str) -> Any:
                if active() is not self._recorder:
                    return numbers
                number = counts.get(calls.path, 0)
                counts[calls.path] = number + 1
                replaced = REPLACED.get(numbers.graph, {}).get((calls.path, number))
                numbers = numbers if replaced is None else replaced(numbers)
                place = v1().placeholder_with_default(numbers, numbers.get_shape())
                self._draws.add(calls.path, place)
                return place

            with draws_pass(through):
                outputs = model(places, **options)
        self._wrapper = root.models.Model(nest().flatten(places), outputs)
        add_own_losses(model, self._wrapper)
        repeated_losses.count_as_in(model, self._wrapper)
        self._of_outputs.in_order()
        with self._of_outputs.watched():
            self._wrapper.compile(
                optimizer=model.optimizer,
                loss=self._by_output(model.loss),
                loss_weights=self._by_output(getattr(model, "loss_weights", None)),
                sample_weight_mode=self._by_output(getattr(model, "sample_weight_mode", None)),
            )
        trained = getattr(model, "_collected_trainable_weights", None)
        if trained is not None:
            self._wrapper._collected_trainable_weights = trained  # noqa: SLF001 (as the model was compiled)
        self._tensors = self._recorder.values(lambda tensors: tensors)
        transform(self._tensors, self._forward.append)

    def _by_output(self, value: Any) -> Any:
        """What was given by the names of outputs, as a list: the outputs of the model around have other names."""
        names = list(getattr(self._model, "output_names", None) or ())
        if not isinstance(value, dict) or not set(value) <= set(names):
            return value
        values = [value.get(name) for name in names]
        return values if len(values) > 1 else values[0]

    @contextlib.contextmanager
    def _train_functions_watched(self) -> Iterator[None]:
        """Meanwhile a train function that Keras makes also computes what a trace needs, before it updates anything."""
        own, outer = self._optimizer.inner, self._optimizer.outer
        methods = {
            "get_updates": self._get_updates,
            "get_gradients": self._get_gradients,
            "compute_gradients": self._compute_gradients,
            **dict.fromkeys(UPDATES, self._update),
        }
        patches: List[Tuple[Any, str, Any]] = [
            (kind, name, _of(vars(kind)[name], see, (own, outer)))
            for kind in dict.fromkeys([*type(own).__mro__, *type(outer).__mro__])
            for name, see in methods.items()
            if name in vars(kind)
        ]
        modules = {id(module): module for module in _gradient_modules()}.values()
        patches += [(one, "gradients", functools.partial(self._gradients, one.gradients)) for one in modules]
        backend = self._keras.backend
        patches.append((backend, "function", functools.partial(self._function, backend.function)))
        with replaced(patches):
            yield

    def _get_updates(self, method: Any, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        self._raw, self._used = {}, {}  # of another train function, if Keras makes one again for weights of samples
        self._losses = {"loss": kwargs["loss"] if "loss" in kwargs else args[0]}
        self._of_outputs.listed_in(self._wrapper)
        self._losses.update({f"data/{name}": one for name, one in self._of_outputs.found.items()})
        extra = list(self._wrapper.losses)
        if extra:
            self._losses["regularization"] = v1().add_n([v1().reduce_sum(one) for one in extra])
        updates = method(optimizer, *args, **kwargs)
        counted_after_reading(self._optimizer.iterations, updates)
        return updates

    def _get_gradients(self, method: Any, optimizer: Any, loss: Any, params: Any) -> Any:
        result = method(optimizer, loss, params)
        if not hasattr(optimizer, "_create_slots"):  # the others have a method for each weight
            self._note(self._used, params, result)
        return result

    def _compute_gradients(self, method: Any, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        pairs = method(optimizer, *args, **kwargs)
        self._note(self._raw, [variable for _, variable in pairs], [gradient for gradient, _ in pairs])
        return pairs

    def _update(self, method: Any, optimizer: Any, gradient: Any, variable: Any, *args: Any, **kwargs: Any) -> Any:
        if id(variable) in self._state.names:
            self._used.setdefault(self._state.names[id(variable)], whole_gradient(method, gradient, args, kwargs))
        return method(optimizer, gradient, variable, *args, **kwargs)

    def _gradients(self, function: Any, ys: Any, xs: Any, *args: Any, **kwargs: Any) -> Any:
        with v1().control_dependencies([*self._forward, *self._losses.values()]):  # so updates come after these
            result = function(ys, xs, *args, **kwargs)
        if isinstance(xs, (list, tuple)):
            result = _all_before_any(result)
            self._note(self._raw, xs, result)
        return result

    def _note(self, where: Dict[str, Any], variables: Iterable[Any], gradients: Iterable[Any]) -> None:
        names = self._state.names
        pairs = [(names.get(id(variable)), gradient) for variable, gradient in zip(variables, gradients)]
        where.update((name, gradient) for name, gradient in pairs if name is not None and gradient is not None)

    def _function(self, function: Any, inputs: Any, outputs: Any, *args: Any, **kwargs: Any) -> Any:
        return self._fetching(function(inputs, outputs, *args, **kwargs))

    def _fetching(self, made: Any) -> Callable[[List[Any]], List[Any]]:
        """The train function of Keras, in a run that gives the values of a trace, too."""
        wanted = self._keeping.would_take
        if not self._raw and not self._used:
            raise TraceError(NO_GRADIENT)

        def gradients(tensors: Mapping[str, Any]) -> Dict[str, Any]:
            return {
                name: one for name, one in tensors.items()
                if wanted("unclipped_gradient", name) or wanted("gradient", name)
            }  # fmt: skip

        fetched = {
            "loss": self._losses,
            "output": {name: one for name, one in self._tensors.items() if wanted("output", name)},
            "random": {name: one for name, one in self._draws.found.items() if wanted("random", name)},
            "raw": gradients(self._raw),  # both, as they are compared
            "used": gradients(self._used),
        }

        def run(values: List[Any]) -> List[Any]:
            feed = {place: value for place, value in zip(nest().flatten(made.inputs), values) if value is not None}
            feed.update(self._feed)
            session = self._keras.backend.get_session()  # it initialises what is new
            try:
                outputs, self._values, _ = session.run([made.outputs, fetched, made.updates_op], feed)
            except sys.modules["tensorflow"].errors.InvalidArgumentError as error:
                if self._masked and "ncompatible shapes" in str(error):
                    raise TraceError(
                        "masks: the random numbers of the other trace do not have the shapes of this model's. Both "
                        "models must drop the same values, in batches of one size"
                    ) from error
                unfed = unfed_placeholder(error)
                if not unfed:
                    raise
                raise TraceError(
                    f"the loss of the model {self._model.name} needs a value of {unfed!r}, which is none of its "
                    "inputs. Trace the session that trains it: trace_training(session=..., train_op=..., feeds=...)"
                ) from error
            return list(outputs)

        return run

    def _slot_variables(self) -> List[Any]:
        return list(getattr(self._optimizer.inner, "weights", ()))

    def _slot_values(self) -> List[Tuple[Any, Any]]:
        variables = self._slot_variables()
        return list(zip(variables, self._keras.values(variables))) if variables else []

    @contextlib.contextmanager
    def _slots_kept(self, before: List[Tuple[Any, Any]], keep: bool) -> Iterator[None]:
        """Keras's first optimizers make slots anew for each train function. Those of the model's own are put back."""
        optimizer = self._optimizer.inner
        attributes = {
            name: list(value) if isinstance(value, list) else value for name, value in vars(optimizer).items()
        }
        try:
            yield
        finally:
            after = self._keras.values(self._slot_variables()) if keep and before else []
            vars(optimizer).clear()
            vars(optimizer).update(attributes)
            if after:
                self._keras.backend.batch_set_value([(own, value) for (own, _), value in zip(before, after)])


def _of(method: Any, see: Any, owners: Iterable[Any]) -> Any:
    """The method, which goes through ``see`` for these objects."""

    @functools.wraps(method)
    def watched(self: Any, *args: Any, **kwargs: Any) -> Any:
        if any(self is owner for owner in owners):
            return see(method, self, *args, **kwargs)
        return method(self, *args, **kwargs)

    return watched


def _all_before_any(gradients: List[Any]) -> List[Any]:
    """The gradients, each once all are computed. The first Keras may update a weight that another gradient still needs.

    A weight of these releases is read in place.
    """
    known = [gradient for gradient in gradients if gradient is not None]
    gated = iter(v1().tuple(known) if known else ())
    return [None if gradient is None else next(gated) for gradient in gradients]


def _gradient_modules() -> Iterator[Any]:
    """The modules in which Keras and optimizers look up ``gradients``."""
    for name in ("tensorflow.python.ops.gradients", "tensorflow_core.python.ops.gradients", "tensorflow"):
        module = sys.modules.get(name)
        if hasattr(module, "gradients"):
            yield module


@contextlib.contextmanager
def _training_phase(keras: Keras, graph: Any) -> Iterator[Any]:
    """The learning phase is a constant meanwhile, so that no layer asks for it in the graph. Gives what it was."""
    backend = keras.backend
    phase = backend.learning_phase()
    backend.set_learning_phase(True)  # a bool, for a layer of 1.4
    try:
        yield phase
    finally:
        if isinstance(phase, int):
            backend.set_learning_phase(phase)
        else:  # a placeholder; what was made since is asked for no more
            phases = "_GRAPH_LEARNING_PHASES"  # in Keras itself, the backend only hands on what is public
            module = backend if hasattr(backend, phases) else sys.modules[backend.learning_phase.__module__]
            getattr(module, phases)[graph] = phase


@contextlib.contextmanager
def _losses_of_first_call_left_out(model: Any) -> Iterator[None]:
    """Losses of activities belong to a call. Those of the first call need its input."""
    lists = [getattr(layer, "_losses", None) for _, layer in walk(model)]
    before = [(losses, list(losses)) for losses in lists if isinstance(losses, list)]
    for losses, all_of_them in before:
        losses[:] = [loss for loss in all_of_them if getattr(loss, "_unconditional_loss", True)]
    try:
        yield
    finally:
        for losses, all_of_them in before:
            losses[:] = all_of_them


@contextlib.contextmanager
def _nodes_kept(model: Any) -> Iterator[None]:
    """The calls that layers remember stay those of before: a layer with two has no ``output``."""
    names = ("_inbound_nodes", "_outbound_nodes", "inbound_nodes", "outbound_nodes")
    lists = [getattr(layer, name, None) for _, layer in walk(model) for name in names]
    before = {id(nodes): (nodes, len(nodes)) for nodes in lists if isinstance(nodes, list)}
    try:
        yield
    finally:
        for nodes, length in before.values():
            del nodes[length:]
