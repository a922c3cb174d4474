"""Kinds of values, and the module that defines those of each library. Only names in this table are ever looked up."""

import enum
import functools
import importlib
import platform
import typing

import numpy as np

from tfkernels.errors import ExchangeError, MissingPackage, NotPortable

Parts = typing.List[typing.Tuple[str, typing.Any]]
"""Simpler values, each with the way to it as an error message shows it: ``.indices``, ``.iloc[:, 3]``."""


class Kind(typing.NamedTuple):
    """A type of values that is sent as parts; ``put_together`` makes it of them, in their order.

    ``name`` begins with the library's and goes into the skeleton. Without a name, the single part arrives in place of
    the value.
    """

    name: str
    take_apart: typing.Callable[[typing.Any], Parts]
    put_together: typing.Callable[..., typing.Any]


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
}
"""By library: the first word of a type's module and of a kind's name. Each has ``find`` and ``KINDS``."""

_IN_PARTS = {
    "tensorflow": "Or pass its parts as arrays: (x.indices, x.values, x.dense_shape), (x.values, x.row_splits)."
}

_INSTEAD: typing.Dict[type, str] = {
    np.ndarray: "numpy.asarray(value)",
    enum.Enum: "value.value",
    **{base: f"{base.__name__}(value)" for base in (dict, list, tuple, set, str, int, float)},
}
"""What to pass in place of an object of a class that is derived from this one."""


def find(value: typing.Any) -> Kind:
    """The kind of a value. It imports no library: the process has the value's already. Raises ``NotPortable``."""
    library = type(value).__module__.partition(".")[0]
    found: typing.Optional[Kind] = _module(library).find(value) if library in _MODULES else None
    found = found or _module("python").find(value)
    if found is None:
        raise refusal(value)
    return found


def refusal(value: typing.Any) -> NotPortable:
    """The reason why a value cannot be passed, and what to pass in its place."""
    kind = type(value)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if kind.__module__.split(".")[0] in ("tensorflow", "keras"):
        return NotPortable(
            f"{name} is part of a TensorFlow program and has no value by itself. Run it there and pass the result, for "
            "example sess.run(tensor) or model.get_weights()."
        )
    for base, instead in _INSTEAD.items():
        if isinstance(value, base):
            return NotPortable(f"{name} is a class that another kernel may not have. Pass {instead}.")
    return NotPortable(
        f"objects of type {name} cannot be passed. Pass None, numbers, text, bytes, times, NumPy arrays, objects of "
        "pandas and scipy.sparse, eager tensors, or lists, tuples, dicts and sets of these."
    )


def builder(name: str) -> typing.Callable[[typing.List[typing.Any]], typing.Any]:
    """The function that makes a value of the kind ``name`` of its parts. Raises ``ExchangeError`` if none is here."""
    library = name.partition(".")[0]
    if library not in _MODULES:
        raise ValueError(f"there is no kind {name}")
    package = "Python " + platform.python_version()
    if library != "python":
        try:
            package = f"{library} {importlib.import_module(library).__version__}"
        except RecursionError:
            raise
        except Exception as error:  # a damaged TensorFlow raises whatever it likes
            raise MissingPackage(library, f"a {name}", str(error), _IN_PARTS.get(library, "")) from error
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
        return importlib.import_module("tfkernels.transfer.types." + _MODULES[library])
    except AttributeError as error:
        raise NotPortable(
            f"this {library} is older than those that tfkernels knows ({error}). Install a newer one."
        ) from error
