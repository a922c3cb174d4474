"""Which module knows the kinds of which library. Nothing else is ever looked up by a name that arrived."""

import importlib
import typing

from tfkernels.errors import ExchangeError, MissingPackage
from tfkernels.kinds import plain
from tfkernels.kinds.kind import Kind

_MODULES = {
    "numpy": "arrays",
    "pandas": "frames",
    "scipy": "sparse",
    "tensorflow": "tensors",
    "keras": "variables",
}
"""By library, that is by the first word of a type's module and of a kind's name. Each has ``find`` and ``KINDS``."""


def find(value: typing.Any) -> typing.Optional[Kind]:
    """The kind of a value, or ``None``. No library is imported for it: who has a value of it has imported it."""
    library = type(value).__module__.partition(".")[0]
    found: typing.Optional[Kind] = None
    if library in _MODULES:
        found = _module(library).find(value)
    return found or plain.find(value)


def build(name: str, parts: typing.List[typing.Any]) -> typing.Any:
    """A value of the kind ``name``. Raises ``ExchangeError`` if that cannot be had here."""
    library = name.partition(".")[0]
    if library == "python":
        kinds, version = plain.KINDS, ""
    elif library in _MODULES:
        try:
            package = importlib.import_module(library)
        except ImportError as error:
            raise MissingPackage(library, f"a {name}", str(error)) from error
        kinds, version = _module(library).KINDS, " " + package.__version__
    else:
        raise ExchangeError(f"what arrived is damaged, or from another version of tfkernels: {name!r}")
    if name not in kinds:
        raise ExchangeError(
            f"a {name} arrived, and {library}{version} here has none such; install a newer {library}, or pass a value "
            f"of another type"
        )
    try:
        return kinds[name].put_together(*parts)
    except ExchangeError:
        raise
    except Exception as error:
        raise ExchangeError(f"{library}{version} here cannot make a {name} of what arrived: {error}") from error


def _module(library: str) -> typing.Any:
    return importlib.import_module("tfkernels.kinds." + _MODULES[library])
