"""Keras's models; Keras 3's variables, whatever its backend; and the containers of Keras and TensorFlow.

A model arrives as one of the receiving release, rebuilt from its record. Containers wrap lists, dicts, sets and tuples
that are attributes of a model or layer, to track the variables inside. They arrive as the plain container.
"""

import collections
import sys
import typing

from tfkernels.errors import ExchangeError, NotPortable, TFKernelsError
from tfkernels.imports import own_imports
from tfkernels.transfer.types.registry import Kind, Parts, stand_in

KINDS: typing.Dict[str, Kind] = {}

Model = typing.Any


def _model_parts(model: Model) -> Parts:
    with own_imports():
        from tfkernels.conversion.record.model_record import record

    try:
        return [("", record(model))]
    except TFKernelsError as error:
        raise NotPortable(str(error)) from error


def _rebuilt_model(record: typing.Dict[str, typing.Any]) -> Model:
    """The model, with classes and functions of the user's that this kernel has under the same names."""
    with own_imports():
        from tfkernels.conversion.record.model_record import check
        from tfkernels.conversion.target.rebuild import rebuild
        from tfkernels.saved_models.keras.classes import KERAS_CLASSES
        from tfkernels.saved_models.keras.known_names import KNOWN

    # A notebook may have its own "sigmoid", which is not the one of the model unless the record says so.
    of_keras = set(KERAS_CLASSES).union(*KNOWN.values()) - {one["name"] for one in record.get("custom_objects") or ()}
    here = vars(sys.modules["__main__"])
    own = {
        name: value
        for name, value in here.items()
        if callable(value) and not name.startswith("_") and name not in of_keras
    }
    try:
        return rebuild(check(record), own).model
    except TFKernelsError as error:
        raise ExchangeError(
            f"{error} What is yours, define it in this kernel under the same name, and run the cell again. Or build "
            "the model here and pass only its weights: tfkernels.weights(model)."
        ) from error


MODEL = Kind("tensorflow.KerasModel", _model_parts, _rebuilt_model, recordable=False)
"""It has the name of TensorFlow, which is imported for it: in TensorFlow up to 2.5 there is no package ``keras``."""


def find_model(value: typing.Any) -> typing.Optional[Kind]:
    """The kind of a model of any Keras, of Keras's class or of the user's."""
    classes = type(value).__mro__
    is_model = any(cls.__name__ == "Model" and cls.__module__.split(".")[0] in _PACKAGES for cls in classes)
    return MODEL if is_model else None


_PACKAGES = ("keras", "tf_keras", "tensorflow", "tensorflow_core")

_PLAIN = (list, collections.OrderedDict, dict, set)


def find(value: typing.Any) -> typing.Optional[Kind]:
    variable = getattr(sys.modules.get("keras"), "Variable", None)
    if variable is not None and isinstance(value, variable):
        return stand_in(lambda v: v.numpy())
    return find_model(value) or find_container(value)


def find_container(value: typing.Any) -> typing.Optional[Kind]:
    for cls in _PLAIN:
        if isinstance(value, cls):
            return stand_in(cls)
    if isinstance(value, tuple) and not issubclass(type(value), tuple):  # a proxy that holds the tuple
        return stand_in(lambda wrapper: wrapper.__wrapped__)
    return None
