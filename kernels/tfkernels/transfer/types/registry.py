"""Kinds of values, and the module that defines those of each library. Only names in this table are ever looked up."""

import functools
import importlib
import platform
import typing

from tfkernels.errors import ExchangeError, MissingPackage, NotPortable, ShadowedModule
from tfkernels.imports import own_imports

Parts = typing.List[typing.Tuple[str, typing.Any]]
"""Simpler values, each with the way to it as an error message shows it: ``.indices``, ``.iloc[:, 3]``."""


class Kind(typing.NamedTuple):
    """A type of values that is sent as parts; ``put_together`` makes it of them, in their order.

    ``name`` begins with the library's and goes into the skeleton. Without a name, the single part arrives in place of
    the value. A value that is not ``recordable`` cannot be compared by a process that has no TensorFlow.
    """

    name: str
    take_apart: typing.Callable[[typing.Any], Parts]
    put_together: typing.Callable[..., typing.Any]
    recordable: bool = True


def stand_in(convert: typing.Callable[[typing.Any], typing.Any]) -> Kind:
    """The kind of values that arrive as what ``convert`` makes of them."""
    return Kind("", lambda value: [("", convert(value))], lambda part: part)


def attributes(*names: str) -> typing.Callable[[typing.Any], Parts]:
    """Takes a value apart into some of its attributes."""
    return lambda value: [("." + name, getattr(value, name)) for name in names]


def named(*kinds: Kind) -> typing.Dict[str, Kind]:
    return {kind.name: kind for kind in kinds if kind.name}


_MODULES = {
    "python": "python",
    "numpy": "numpy",
    "pandas": "pandas",
    "scipy": "scipy_sparse",
    "tensorflow": "tensorflow",
    "keras": "keras",
    "tf_keras": "keras",
}
"""By library: the first word of a type's module and of a kind's name. Each has ``find`` and ``KINDS``."""

_IN_PARTS = {
    "tensorflow": "Or pass its parts as arrays: (x.indices, x.values, x.dense_shape), (x.values, x.row_splits).",
    "tensorflow.KerasModel": "Or pass its weights: tfkernels.weights(model).",
}


def find(value: typing.Any) -> typing.Optional[Kind]:
    """The kind of a value, or ``None``. It imports no library: the process has the value's library already."""
    library = type(value).__module__.partition(".")[0]
    found: typing.Optional[Kind] = _module(library).find(value) if library in _MODULES else None
    if found is None and hasattr(value, "get_config"):  # a model's class can be the user's
        found = _module("keras").find_model(value)
    return found or _module("python").find(value)


def builder(name: str) -> typing.Callable[[typing.List[typing.Any]], typing.Any]:
    """The function that makes a value of the kind ``name`` of its parts. Raises ``ExchangeError`` if none is here."""
    library = name.partition(".")[0]
    if library not in _MODULES:
        raise ValueError(f"there is no kind {name}")
    package = "Python " + platform.python_version()
    if library != "python":
        try:
            with own_imports():
                package = f"{library} {importlib.import_module(library).__version__}"
        except (RecursionError, ShadowedModule):
            raise
        except Exception as error:  # a damaged TensorFlow raises whatever it likes
            instead = _IN_PARTS.get(name, _IN_PARTS.get(library, ""))
            raise MissingPackage(library, f"a {name}", str(error), instead) from error
    kinds = _module(library).KINDS
    if name not in kinds:
        raise ExchangeError(f"A {name} arrived, and {package} here has none. Pass a value of another type.")

    def build(parts: typing.List[typing.Any]) -> typing.Any:
        try:
            return kinds[name].put_together(*parts)
        except (ExchangeError, RecursionError):
            raise
        except Exception as error:
            raise ExchangeError(f"A {name} arrived, and {package} here cannot make it: {error}") from error

    return build


@functools.lru_cache(maxsize=None)
def _module(library: str) -> typing.Any:
    try:
        with own_imports():
            return importlib.import_module("tfkernels.transfer.types." + _MODULES[library])
    except AttributeError as error:
        raise NotPortable(
            f"this {library} is older than those that tfkernels knows ({error}). Install a newer one."
        ) from error
