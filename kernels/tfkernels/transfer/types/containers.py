"""What TensorFlow and Keras make of the lists, dicts, sets and tuples that are assigned to a model's or a layer's
attributes, to keep track of the variables in them. It arrives as what was assigned.
"""

import collections
import typing

from tfkernels.transfer.types.kind import Kind, stand_in

_PLAIN = (list, collections.OrderedDict, dict, set)


def find(value: typing.Any) -> typing.Optional[Kind]:
    """The kind of a value whose class is of one of these libraries."""
    for cls in _PLAIN:
        if isinstance(value, cls):
            return stand_in(cls)
    if isinstance(value, tuple) and not issubclass(type(value), tuple):  # it only says so, and holds the tuple
        return stand_in(lambda wrapper: wrapper.__wrapped__)
    return None
