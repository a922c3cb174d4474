"""Keras 3's variables, whatever its backend; and the containers of Keras and TensorFlow.

These wrap lists, dicts, sets and tuples that are attributes of a model or layer, to track the variables inside. They
arrive as the plain container.
"""

import collections
import sys
import typing

from tfkernels.transfer.types.registry import Kind, stand_in

KINDS: typing.Dict[str, Kind] = {}

_PLAIN = (list, collections.OrderedDict, dict, set)


def find(value: typing.Any) -> typing.Optional[Kind]:
    variable = getattr(sys.modules.get("keras"), "Variable", None)
    if variable is not None and isinstance(value, variable):
        return stand_in(lambda v: v.numpy())
    return find_container(value)


def find_container(value: typing.Any) -> typing.Optional[Kind]:
    for cls in _PLAIN:
        if isinstance(value, cls):
            return stand_in(cls)
    if isinstance(value, tuple) and not issubclass(type(value), tuple):  # a proxy that holds the tuple
        return stand_in(lambda wrapper: wrapper.__wrapped__)
    return None
