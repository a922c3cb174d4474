"""``trace_training``: what training steps compute, of a Keras model, a loop with ``tf.GradientTape`` or a session."""

import itertools
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Union

from tfkernels.errors import TraceError
from tfkernels.models.keras_package import Keras, is_layer, is_of_keras, keras_of
from tfkernels.models.sessions import is_session
from tfkernels.models.tensorflow_api import in_graph_mode, version
from tfkernels.training.batches import Batch, batches_of, without_missing
from tfkernels.training.eager_steps import EagerSteps
from tfkernels.training.graph.session_trace import trace_session
from tfkernels.training.keras_graph import GraphSteps
from tfkernels.training.optimizers import Optimizer, keras_text
from tfkernels.training.step_records import recorded_steps
from tfkernels.training.trained_state import TrainedState
from tfkernels.training.training_trace import LARGEST, Keeping


def trace_training(
    target: Any = None,
    x: Any = None,
    y: Any = None,
    *,
    steps: int = 1,
    sample_weight: Any = None,
    class_weight: Optional[Mapping[int, float]] = None,
    batch_size: Optional[int] = None,
    variables: Optional[Iterable[Any]] = None,
    model: Any = None,
    optimizer: Any = None,
    session: Any = None,
    loss: Any = None,
    train_op: Any = None,
    feeds: Any = None,
    outputs: Any = None,
    only: Union[str, Iterable[str], None] = None,
    largest: Optional[int] = LARGEST,
    masks: Optional[Mapping[str, Any]] = None,
    weights_from: Optional[Mapping[str, Any]] = None,
    mapping: Optional[Mapping[str, str]] = None,
    keep: bool = False,
) -> Dict[str, Any]:
    """What training steps compute, in the order of computation: a dict that :func:`compare` takes, and that travels.

    * ``trace_training(model, x, y, steps=3)``: a compiled Keras model. Each step is its ``train_on_batch``.
    * ``trace_training(step, x, y, variables=..., model=..., optimizer=..., steps=3)``: a function ``step(x, y)`` that
      trains with ``tf.GradientTape``. Only what is given can be seen: ``model`` for outputs of layers, ``optimizer``
      for slots, learning rate and the gradients that it uses.
    * ``trace_training(session=..., train_op=..., feeds=..., steps=3)``: a graph of TensorFlow 1. A step is one run of
      ``train_op`` in the session. Gradients, slots, learning rate, ``loss`` and outputs are found in the graph.
      ``feeds`` is the ``feed_dict`` of all steps, or has one for each. ``outputs``: tensors by name, instead of those
      that :func:`watch` named, or else the outputs of scopes with weights. ``model``: a Keras model that the session
      trains, whose names are used. Iterators and queues go on. A few operations are added to the graph, once.

    Every step has inputs, random numbers that layers draw, outputs of layers in training mode, loss, gradients before
    and after clipping, learning rate, slots before and after, updates, weights and moving statistics.

    ``x`` and ``y`` are the batch of every step, or with ``batch_size`` the data, of which each step takes the next
    rows. ``x`` alone can be a list, generator or dataset of tuples ``(x, y)`` or ``(x, y, sample_weight)``.

    ``only``: parts and names that are kept: ``"gradient"``, ``"output/conv1*"``, ``"*/kernel"``. ``largest``: larger
    arrays are kept as statistics and a sample; ``None`` keeps all whole. ``masks``: the trace of another side, whose
    random numbers are drawn here, too, so that dropouts are equal. ``weights_from``: the trace of another side; every
    step begins with its weights, slots and step count, so that errors do not add up. ``mapping``: ``{weight of the
    session: weight of that trace}``, where names do not tell.

    Afterwards all variables have their values of before, unless ``keep=True``: then the model stays trained. Metrics
    and the states of ``tf.random`` count on. Functions run eagerly meanwhile, which can change the last digits. A
    session runs its own graph.

    Raises ``TraceError`` if the steps cannot be traced.
    """
    keeping = Keeping(only, largest)
    of_arrays = {
        "x": x, "y": y, "sample_weight": sample_weight, "class_weight": class_weight, "batch_size": batch_size,
    }  # fmt: skip
    of_session = {"loss": loss, "train_op": train_op, "feeds": feeds, "outputs": outputs, "mapping": mapping}
    if session is not None or is_session(target):
        _refuse(
            {**of_arrays, "variables": variables, "optimizer": optimizer}, "a session, which gets its data by feeds="
        )
        return trace_session(
            target if session is None else session, loss, train_op, feeds, outputs, steps, keeping,
            weights_from, mapping, masks, keep, model,
        )  # fmt: skip
    _refuse(of_session, "a model or a function, but for a session: trace_training(session=...)")
    batches = batches_of(x, y, sample_weight, batch_size, steps)
    options: Dict[str, Any] = {"keeping": keeping, "masks": masks, "weights_from": weights_from, "keep": keep}
    if is_layer(target) and hasattr(target, "train_on_batch"):
        if variables is not None or model is not None or optimizer is not None:
            raise TraceError(
                "variables=, model= and optimizer= are for a step that you wrote: trace_training(step, x, y, "
                "variables=...). A compiled model has its own"
            )
        return _trace_model(target, batches, class_weight, options)
    if callable(target) and not is_layer(target):
        _refuse({"class_weight": class_weight}, "a step that you wrote, which weights its own loss")
        return _trace_loop(target, batches, variables, model, optimizer, options)
    raise TraceError(
        "trace_training() needs a compiled Keras model, a function that trains, or a session, got "
        f"{type(target).__name__}. Examples: trace_training(model, x, y), trace_training(step, x, y, "
        "variables=model.trainable_variables), trace_training(session=session, train_op=train_op, feeds=feeds)"
    )


def _trace_model(
    model: Any, batches: Iterator[Batch], class_weight: Optional[Mapping[int, float]], options: Dict[str, Any]
) -> Dict[str, Any]:
    keras = keras_of(model)
    if getattr(model, "optimizer", None) is None:
        raise TraceError(
            f"the model {model.name} is not compiled, so there is no step to trace. Compile it: "
            "model.compile(optimizer=..., loss=...)"
        )
    first = next(batches)
    batches = itertools.chain([first], batches)  # one after the other: a generator may fill the same arrays each time
    missing = "x" if first.x is None else "y" if getattr(model, "loss", None) and _has_step_of_keras(model) else None
    if missing is not None and getattr(first, missing) is None:
        raise TraceError(
            f"the model {model.name} is trained with {missing}, and there is none. Give trace_training(model, x, y), "
            "or x alone with batches (x, y)"
        )
    if keras.builds_graphs:
        return _trace_in_graph(model, keras, first, batches, class_weight, options)
    if not keras.has_built(model):
        model(first.x)
    optimizer = Optimizer(model.optimizer)
    state = TrainedState(model, keras, optimizer)
    optimizer.make_slots(state.trained)

    def step(batch: Batch) -> None:
        weights = {"sample_weight": batch.sample_weight, "class_weight": class_weight}
        model.train_on_batch(batch.x, batch.y, **{name: value for name, value in weights.items() if value is not None})

    run = EagerSteps(step, model, optimizer, state, options["keeping"], compiled=True).run
    return recorded_steps(run, batches, state, _about("keras", keras, optimizer), **options)


def _trace_in_graph(
    model: Any, keras: Keras, first: Batch, batches: Iterable[Batch], class_weight: Optional[Mapping[int, float]],
    options: Dict[str, Any],
) -> Dict[str, Any]:  # fmt: skip
    if not in_graph_mode():
        raise TraceError(
            f"the model {model.name} is one of Keras {'.'.join(map(str, keras.version))}, which keeps a graph of its "
            "own in TensorFlow 2. Use tf.keras, or keras with TensorFlow 1"
        )
    if not keras.has_built(model):
        raise TraceError(
            f"the model {model.name} has no weights yet. Build it: model.build(input_shape), or train it on one batch"
        )
    optimizer = Optimizer(model.optimizer)
    state = TrainedState(model, keras, optimizer)
    steps = GraphSteps(model, keras, optimizer, state, options["keeping"], class_weight)
    with steps.open(first, options["keep"]):
        return recorded_steps(steps.run, batches, state, _about("keras", keras, optimizer), **options)


def _trace_loop(
    step: Callable[..., Any], batches: Iterable[Batch], variables: Any, model: Any, optimizer: Any,
    options: Dict[str, Any],
) -> Dict[str, Any]:  # fmt: skip
    if in_graph_mode():
        raise TraceError(
            "a training loop is traced while it runs eagerly, and this kernel builds graphs. Trace the session: "
            "trace_training(session=session, loss=loss, train_op=train_op, feeds=...)"
        )
    if variables is None and model is None:
        raise TraceError(
            "a step that you wrote does not say what it trains. Name it: trace_training(step, x, y, "
            "variables=model.trainable_variables, model=model, optimizer=optimizer)"
        )
    trained: List[Any] = list(model.trainable_weights if variables is None else variables)
    if not trained:
        raise TraceError("variables= is empty. A model has its variables after its first call: model(x)")
    keras = keras_of(model) if model is not None else None
    known = Optimizer(optimizer) if optimizer is not None else None
    state = TrainedState(model, keras, known, trained)
    if known is not None:
        known.make_slots(state.trained)
    run = EagerSteps(
        lambda batch: step(*without_missing(batch)), model, known, state, options["keeping"], compiled=False
    ).run
    return recorded_steps(run, batches, state, _about("tape", keras, known), **options)


def _has_step_of_keras(model: Any) -> bool:
    author = next((kind for kind in type(model).__mro__ if "train_step" in vars(kind)), None)
    return author is None or is_of_keras(author)


def _refuse(given: Mapping[str, Any], what: str) -> None:
    """Raises ``TraceError`` for an option that would be ignored."""
    name = next((name for name, value in given.items() if value is not None), None)
    if name is not None:
        raise TraceError(f"{name}= is not for {what}. Leave it out")


def _about(form: str, keras: Optional[Keras], optimizer: Optional[Optimizer]) -> Dict[str, Any]:
    return {
        "tensorflow": version(),
        "keras": None if keras is None else keras_text(keras),
        "form": form,
        "optimizer": None if optimizer is None else optimizer.about(),
    }
