"""Variables and containers of Keras 3, whatever computes for it. Those of older ones are TensorFlow's."""

import sys
import typing

from tfkernels.transfer.types import containers
from tfkernels.transfer.types.kind import Kind, stand_in

KINDS: typing.Dict[str, Kind] = {}


def find(value: typing.Any) -> typing.Optional[Kind]:
    variable = getattr(sys.modules.get("keras"), "Variable", None)
    if variable is not None and isinstance(value, variable):
        return stand_in(lambda v: v.numpy())
    return containers.find(value)
