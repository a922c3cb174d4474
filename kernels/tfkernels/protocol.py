"""What goes along with an execute request from one kernel to another, in ``metadata["tfkernels"]``::

    {"format": number, "kernel": name, "magic": "%%name", "inputs": descriptor or None, "outputs": {name: expression},
     "segment": address or None, "instead": [address, …], "ticket": address (not always)}

The reply has the descriptor of the outputs in ``content["tfkernels"]``. See ``kernel_side.execute`` for what is done.
"""

import typing

from tfkernels.errors import ExchangeError

Message = typing.Dict[str, typing.Any]
"""A Jupyter message: header, parent_header, metadata, content, buffers."""

FORMAT = 1
"""Raised when an older tfkernels could misread what this one asks for."""

_NEEDED = ("kernel", "magic", "inputs", "outputs", "segment", "instead")


def check(request: typing.Any) -> typing.Dict[str, typing.Any]:
    """The request, if it is one that this tfkernels understands; else raises ``ExchangeError``."""
    if not isinstance(request, dict) or request.get("format") != FORMAT:
        raise ExchangeError.of_format(request.get("format") if isinstance(request, dict) else None, FORMAT)
    missing = [key for key in _NEEDED if key not in request]
    if missing:
        raise ExchangeError(f"what was asked for is damaged: the request has no {', '.join(missing)}")
    return request
