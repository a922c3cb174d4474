"""Training steps that run eagerly: ``train_on_batch`` of a Keras model, or a step with ``tf.GradientTape``.

Nothing of the step is written anew: it runs as it is, and the places are watched that it must pass.
"""

import contextlib
import functools
import sys
from typing import Any, Callable, Dict, Iterator, List, Optional

import numpy as np

from tfkernels.errors import TraceError
from tfkernels.models.layer_calls import layers_recorded
from tfkernels.models.recorder import Recorder, active, recording
from tfkernels.models.replaced_attributes import replaced
from tfkernels.models.tensorflow_api import functions_run_eagerly, nest, operations_run_in_graphs
from tfkernels.training.batches import Batch, inputs_named, targets_named
from tfkernels.training.optimizers import UPDATES, Optimizer, whole_gradient
from tfkernels.training.output_losses import OutputLosses
from tfkernels.training.random_draws import HandedOver, NamedDraws, draws_pass
from tfkernels.training.step_records import NO_GRADIENT, array_of, dense, gradients_of
from tfkernels.training.trained_state import TrainedState
from tfkernels.training.training_trace import Keeping


class EagerSteps:
    """``step`` runs one batch. ``model`` and ``optimizer`` are ``None`` if a training loop did not name them."""

    def __init__(
        self,
        step: Callable[[Batch], Any],
        model: Any,
        optimizer: Optional[Optimizer],
        state: TrainedState,
        keeping: Keeping,
        compiled: bool,
    ) -> None:
        self._step = step
        self._model = model
        self._optimizer = optimizer
        self._state = state
        self._keeping = keeping
        self._compiled = compiled  # then the loss has all of the model's regularisation

    def run(self, batch: Batch, handed: Optional[HandedOver]) -> Dict[str, Dict[str, Any]]:
        seen = _Seen(self._state.names, self._model if self._compiled else None)
        scale = self._optimizer.loss_scale(self._state.value) if self._optimizer is not None else 1.0
        recorder = Recorder(wants=lambda name: self._keeping.wants("output", name), kept=self._keeping.reduced)
        draws = NamedDraws()
        with contextlib.ExitStack() as stack:
            stack.enter_context(functions_run_eagerly())
            stack.enter_context(recording(recorder))
            calls: Any = None
            if self._model is not None:
                stack.enter_context(operations_run_in_graphs(self._model))
                stack.enter_context(_functions_kept(self._model))
                calls = stack.enter_context(layers_recorded(self._model, recorder, parts=True))

            def through(numbers: Any, _: str) -> Any:
                if active() is not recorder or not hasattr(numbers, "numpy"):
                    return numbers
                name = draws.add(calls.path if calls is not None else "", numbers)
                if handed is not None:
                    as_tensor = sys.modules["tensorflow"].convert_to_tensor
                    numbers = as_tensor(handed.take(name, numbers.shape), numbers.dtype)
                    draws.found[name] = numbers
                return numbers

            stack.enter_context(draws_pass(through))
            stack.enter_context(seen.watching(self._optimizer, recorder))
            self._step(batch)
        outputs = recorder.values()
        if self._model is not None and calls.inputs is None and not outputs:
            raise TraceError(
                f"the step did not call the model {self._model.name} in this thread, so no layer can be seen. Give the "
                "model that the step trains, and train without a strategy"
            )
        gradients = seen.gradients(scale, self._state.shapes())
        if not gradients["gradient"]:
            raise TraceError(NO_GRADIENT)
        inputs = calls.inputs if calls is not None and calls.inputs is not None else batch.x
        return {
            "input": {**inputs_named(self._model, inputs), **targets_named(self._model, batch)},
            "random": {name: array_of(numbers) for name, numbers in draws.found.items()},
            "output": outputs,
            "loss": seen.losses(scale),
            **gradients,
        }


class _Seen:
    """What passed in one step: losses, gradients as the tape made them, and as the optimizer used them."""

    def __init__(self, names: Dict[int, str], model: Any) -> None:
        self._names = names
        self._model = model
        self._losses: List[Any] = []
        self._of_outputs = OutputLosses(model) if model is not None else None
        self._regularization: Any = None
        self._of_tape: Dict[str, Any] = {}
        self._used: Dict[str, Any] = {}

    @contextlib.contextmanager
    def watching(self, optimizer: Optional[Optimizer], recorder: Recorder) -> Iterator[None]:
        tape = sys.modules["tensorflow"].GradientTape
        own = optimizer.inner if optimizer is not None else None
        watched = [(tape, "gradient", _after(tape.gradient, recorder, self._gradient))]
        for kind in type(own).__mro__:
            updates = [name for name in UPDATES if name in vars(kind)]
            watched += [(kind, name, _before(vars(kind)[name], recorder, own, self._update)) for name in updates]
        with replaced(watched), self._of_outputs.watched() if self._of_outputs else contextlib.ExitStack():
            yield

    def losses(self, scale: float) -> Dict[str, Any]:
        found: Dict[str, Any] = {}
        for number, loss in enumerate(self._losses):
            value = np.float32(1 / scale) * loss if scale != 1 else loss
            found[f"loss:{number}" if number else "loss"] = value
        if found and self._model is not None:
            regularization = self._regularization
            found["data"] = (found["loss"].astype(np.float64) - regularization).astype(found["loss"].dtype)
            found["regularization"] = found["loss"].dtype.type(regularization)
        if self._of_outputs is not None:
            found.update({f"data/{name}": array_of(value) for name, value in self._of_outputs.found.items()})
        return found

    def gradients(self, scale: float, shapes: Dict[str, Any]) -> Dict[str, Dict[str, Any]]:
        of_tape = self._of_tape
        if scale != 1:
            of_tape = {name: dense(one, shapes[name]) / np.float32(scale) for name, one in of_tape.items()}
        return gradients_of(of_tape, self._used, shapes)

    def _gradient(self, result: Any, target: Any, sources: Any) -> None:
        of_ours = [
            (self._names[id(source)], gradient)
            for source, gradient in zip(nest().flatten(sources), nest().flatten(result))
            if id(source) in self._names and gradient is not None
        ]
        if not of_ours:
            return
        self._of_tape.update(of_ours)
        self._losses.append(np.sum([np.sum(array_of(one)) for one in nest().flatten(target)], axis=0))
        if self._model is not None and self._regularization is None:
            self._regularization = float(sum(np.sum(array_of(one), dtype=np.float64) for one in self._model.losses))

    def _update(self, gradient: Any, variable: Any) -> None:
        name = self._names.get(id(variable))
        if name is not None and gradient is not None:
            self._used.setdefault(name, gradient)


def _after(method: Any, recorder: Recorder, see: Callable[[Any, Any, Any], None]) -> Any:
    """The method, which shows its result and its first two arguments."""

    @functools.wraps(method)
    def watched(tape: Any, target: Any, sources: Any, *args: Any, **kwargs: Any) -> Any:
        result = method(tape, target, sources, *args, **kwargs)
        if active() is recorder:
            see(result, target, sources)
        return result

    return watched


def _before(method: Any, recorder: Recorder, own: Any, see: Callable[[Any, Any], None]) -> Any:
    """The method of ``own``, which shows its first two arguments, those of the outermost call first."""

    @functools.wraps(method)
    def watched(optimizer: Any, gradient: Any, variable: Any, *args: Any, **kwargs: Any) -> Any:
        if active() is recorder and optimizer is own:
            see(whole_gradient(method, gradient, args, kwargs), variable)
        return method(optimizer, gradient, variable, *args, **kwargs)

    return watched


@contextlib.contextmanager
def _functions_kept(model: Any) -> Iterator[None]:
    """A train function that is made while functions run eagerly would stay eager."""
    names = ("train_function", "train_tf_function")
    with replaced((model, name, getattr(model, name)) for name in names if hasattr(model, name)):
        yield
