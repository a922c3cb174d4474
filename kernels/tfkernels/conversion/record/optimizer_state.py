"""State of a model's optimizer, under names that are the same in every release. Knows the four kinds of optimizers.

Keras's first ones (standalone Keras, tf.keras up to 1.12) hold a list of variables, in the order of the trained ones.
``OptimizerV2`` and those of ``tf.train`` name their slots. Those since 2.11 have an attribute per slot, a list.
"""

from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple

from tfkernels.conversion.record.plain_values import plain
from tfkernels.errors import ConversionError
from tfkernels.models.keras_package import Keras
from tfkernels.models.sessions import initialised

SLOTS = {
    "SGD": {"momentum": "momentums"},
    "RMSprop": {"rms": "velocities", "momentum": "momentums", "mg": "average_gradients"},
    "Adagrad": {"accumulator": "accumulators"},
    "Adadelta": {"accum_grad": "accumulated_grads", "accum_var": "accumulated_delta_vars"},
    "Adam": {"m": "momentums", "v": "velocities", "vhat": "velocity_hats"},
    "AdamW": {"m": "momentums", "v": "velocities", "vhat": "velocity_hats"},
    "Adamax": {"m": "m", "v": "u"},
    "Nadam": {"m": "momentums", "v": "velocities"},
    "Ftrl": {"accumulator": "accumulators", "linear": "linears"},
    "Lion": {"momentum": "momentums"},
    "Lamb": {"m": "momentums", "v": "velocities"},
}
"""The slots of a class of optimizers as a record names them, and the attributes (after ``_``) of those since 2.11."""

SCALARS = {"m_cache": ("_m_cache", "m_schedule", "_u_product")}
"""State of Nadam that belongs to no weight, and what releases call it: the product of all momentums so far."""

_WRAPPERS = ("inner_optimizer", "_optimizer")
"""Where an optimizer that scales losses keeps the one that it wraps."""


def optimizer_state(model: Any, keras: Keras, variables: Mapping[str, Any]) -> Optional[Dict[str, Any]]:
    """Class, configuration, step, slots and scalars of the model's optimizer; ``None`` if there is none.

    ``variables`` are the model's, by name. Slots that the optimizer has not made yet are left out.
    """
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:
        return None

    def values(read: List[Any]) -> List[Any]:
        with keras.session(list(variables.values())), initialised(ConversionError):
            return list(keras.values(read))

    return state_of(optimizer, variables, model.trainable_weights, values)


def state_of(
    optimizer: Any, variables: Mapping[str, Any], trainable: Iterable[Any], values: Callable[[List[Any]], List[Any]]
) -> Dict[str, Any]:
    """The same of an optimizer; ``values`` reads variables."""
    optimizer = unwrapped(optimizer)
    if type(optimizer).__name__ == "TFOptimizer":  # an optimizer of tf.train, wrapped by Keras
        steps = optimizer.iterations
        optimizer = optimizer.optimizer
    else:
        steps = getattr(optimizer, "iterations", None)
    names = {id(variable): name for name, variable in variables.items()}
    trained = [variable for variable in trainable if id(variable) in names]
    found = [(names[id(of)], slot, variable) for of, slot, variable in slots_of(optimizer, trained)]
    scalars = dict(_scalars(optimizer))
    read: List[Any] = [variable for _, _, variable in found] + list(scalars.values())
    if steps is not None:
        read.append(steps)
    arrays = values(read)
    slots: Dict[str, Dict[str, Any]] = {}
    for (name, slot, _), value in zip(found, arrays):
        slots.setdefault(name, {})[slot] = value
    return {
        "class_name": type(optimizer).__name__,
        "config": _config(optimizer),
        "step": int(arrays[-1]) if steps is not None else None,
        "slots": slots,
        "scalars": {name: float(value) for name, value in zip(scalars, arrays[len(found) :])},
    }


def unwrapped(optimizer: Any) -> Any:
    """The optimizer inside one for mixed precision."""
    if type(optimizer).__name__.startswith("LossScaleOptimizer"):
        for name in _WRAPPERS:
            if getattr(optimizer, name, None) is not None:
                return getattr(optimizer, name)
    return optimizer


def _config(optimizer: Any) -> Dict[str, Any]:
    if hasattr(optimizer, "get_config"):
        return dict(plain(optimizer.get_config()))
    # An optimizer of tf.train keeps its settings in private attributes, beside the tensors that it made of them.
    settings = {name[1:]: value for name, value in vars(optimizer).items() if name.startswith("_")}
    return {name: value for name, value in settings.items() if isinstance(value, (bool, int, float, str))}


def slots_of(optimizer: Any, trained: List[Any]) -> Iterator[Tuple[Any, str, Any]]:
    """Each slot with the variable that it is for, and its name in ``SLOTS``."""
    if hasattr(optimizer, "get_slot_names"):
        return _named_slots(optimizer, trained)
    index = getattr(optimizer, "_get_variable_index", None) or _index_since_2_11(optimizer)
    return _slots_in_order(optimizer, trained) if index is None else _slots_in_attributes(optimizer, trained, index)


def _named_slots(optimizer: Any, trained: List[Any]) -> Iterator[Tuple[Any, str, Any]]:
    for variable in trained:
        for name in optimizer.get_slot_names():
            slot = _existing_slot(optimizer, variable, name)
            if slot is not None:
                yield variable, name, slot


def _slots_in_order(optimizer: Any, trained: List[Any]) -> Iterator[Tuple[Any, str, Any]]:
    """Of Keras's first optimizers. The scalars before the slots are no slots."""
    weights = [weight for weight in optimizer.weights if len(weight.shape)]
    names = [name for name in _known_slots(optimizer) if name != "vhat" or getattr(optimizer, "amsgrad", False)]
    for number, (name, variable) in enumerate((name, variable) for name in names for variable in trained):
        if number < len(weights):  # an RMSprop has no momentum
            yield variable, name, weights[number]


def _slots_in_attributes(optimizer: Any, trained: List[Any], index: Any) -> Iterator[Tuple[Any, str, Any]]:
    """Of the optimizers since 2.11. They make no slots before the first step."""
    for name, attribute in _known_slots(optimizer).items():
        made = getattr(optimizer, f"_{attribute}", None) or getattr(optimizer, attribute, None) or []  # SGD's is public
        for variable in trained if made else ():
            place = index(variable)
            if place is not None and made[place] is not None:
                yield variable, name, made[place]


def _known_slots(optimizer: Any) -> Dict[str, str]:
    """Those of its class, or of the class of Keras that a user's class inherits from."""
    return next((SLOTS[kind.__name__] for kind in type(optimizer).__mro__ if kind.__name__ in SLOTS), {})


def _existing_slot(optimizer: Any, variable: Any, name: str) -> Any:
    """The slot if there is one. ``OptimizerV2`` raises ``KeyError`` for a variable that it has not trained yet."""
    try:
        return optimizer.get_slot(variable, name)
    except KeyError:
        return None


def _index_since_2_11(optimizer: Any) -> Any:
    places = getattr(optimizer, "_index_dict", None)
    if not hasattr(optimizer, "_var_key"):
        return None
    return lambda variable: (places or {}).get(optimizer._var_key(variable))  # noqa: SLF001 (there is no other way)


def _scalars(optimizer: Any) -> Iterator[Tuple[str, Any]]:
    for name, attributes in SCALARS.items():
        for attribute in attributes:
            variable = getattr(optimizer, attribute, None)
            if variable is not None and hasattr(variable, "shape"):
                yield name, variable
                break
