"""Which module knows the kinds of which library. Nothing else is ever looked up by a name that arrived."""

import importlib
import platform
import typing

from tfkernels.errors import ExchangeError, MissingPackage, NotPortable
from tfkernels.transfer.types import python
from tfkernels.transfer.types.kind import Kind

_MODULES = {
    "numpy": "numpy",
    "pandas": "pandas",
    "scipy": "scipy_sparse",
    "tensorflow": "tensorflow",
    "keras": "keras",
}
"""By library, that is by the first word of a type's module and of a kind's name. Each has ``find`` and ``KINDS``."""


_INSTEAD = {
    "tensorflow": "Or pass its parts as arrays: (x.indices, x.values, x.dense_shape), (x.values, x.row_splits)."
}


def find(value: typing.Any) -> typing.Optional[Kind]:
    """The kind of a value, or ``None``. No library is imported for it: who has a value of it has imported it."""
    library = type(value).__module__.partition(".")[0]
    found: typing.Optional[Kind] = None
    if library in _MODULES:
        found = _module(library).find(value)
    return found or python.find(value)


def builder(name: str) -> typing.Callable[[typing.List[typing.Any]], typing.Any]:
    """What makes a value of the kind ``name`` of its parts. Raises ``ExchangeError`` if that cannot be had here."""
    library = name.partition(".")[0]
    if library == "python":
        kinds, package = python.KINDS, "Python " + platform.python_version()
    elif library in _MODULES:
        try:
            version = importlib.import_module(library).__version__
        except RecursionError:
            raise
        except Exception as error:  # a damaged TensorFlow raises whatever it likes
            raise MissingPackage(library, f"a {name}", str(error), _INSTEAD.get(library, "")) from error
        kinds, package = _module(library).KINDS, f"{library} {version}"
    else:
        raise ExchangeError(f"what arrived is damaged, or from another version of tfkernels: {name!r}")
    if name not in kinds:
        raise ExchangeError(f"a {name} arrived, and {package} here has none such; pass a value of another type")

    def build(parts: typing.List[typing.Any]) -> typing.Any:
        try:
            return kinds[name].put_together(*parts)
        except (ExchangeError, RecursionError):
            raise
        except Exception as error:
            raise ExchangeError(f"{package} here cannot make a {name} of what arrived: {error}") from error

    return build


def _module(library: str) -> typing.Any:
    try:
        return importlib.import_module("tfkernels.transfer.types." + _MODULES[library])
    except AttributeError as error:
        raise NotPortable(
            f"values of {library} cannot be passed here: the {library} that is installed is older than those that "
            f"tfkernels knows ({error}); install a newer one"
        ) from error
