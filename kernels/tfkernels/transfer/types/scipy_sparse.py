"""scipy.sparse: every format, as matrix and as array."""

import typing

import scipy
import scipy.sparse

from tfkernels.errors import ExchangeError
from tfkernels.transfer.types.registry import Kind, Parts, attributes, named

Sparse = typing.Any


def _compressed(cls: typing.Any, data: Sparse, indices: Sparse, indptr: Sparse, shape: typing.Any) -> Sparse:
    value = cls((data, indices, indptr), shape=shape)
    value.indices, value.indptr = indices, indptr  # the constructor narrows 64-bit indices
    return value


def _coordinate_parts(value: Sparse) -> Parts:
    # Older ones know rows and columns only.
    coordinates = value.coords if hasattr(value, "coords") else (value.row, value.col)
    return [
        (".data", value.data),
        (".coords", tuple(coordinates)),
        (".shape", value.shape),
        (".has_canonical_format", bool(value.has_canonical_format)),
    ]


def _coordinates(cls: typing.Any, data: Sparse, coordinates: Sparse, shape: typing.Any, canonical: bool) -> Sparse:
    value = cls((data, coordinates), shape=shape)
    if hasattr(value, "coords"):
        value.coords = coordinates
    else:
        value.row, value.col = coordinates
    value.has_canonical_format = canonical
    return value


def _diagonals(cls: typing.Any, data: Sparse, offsets: Sparse, shape: typing.Any) -> Sparse:
    value = cls((data, offsets), shape=shape)
    value.offsets = offsets
    return value


def _converted(cls: typing.Any, *parts: typing.Any) -> Sparse:
    form, _, kind = cls.__name__.partition("_")
    return _coordinates(getattr(scipy.sparse, f"coo_{kind}"), *parts).asformat(form)


_FORMS = {
    **dict.fromkeys(("csr", "csc", "bsr"), (attributes("data", "indices", "indptr", "shape"), _compressed)),
    "coo": (_coordinate_parts, _coordinates),
    "dia": (attributes("data", "offsets", "shape"), _diagonals),
    **dict.fromkeys(("lil", "dok"), (lambda value: _coordinate_parts(value.tocoo()), _converted)),
}


def _kind(name: str, take_apart: typing.Callable[[Sparse], Parts], put_together: typing.Any) -> Kind:
    def build(*parts: typing.Any) -> Sparse:
        if not hasattr(scipy.sparse, name):  # not a matrix instead: there `*` means something else
            raise ExchangeError(
                f"A scipy.sparse.{name} arrived, and scipy {scipy.__version__} here has none. "
                f"Pass scipy.sparse.{name.replace('array', 'matrix')}(x)."
            )
        return put_together(getattr(scipy.sparse, name), *parts)

    return Kind(f"scipy.sparse.{name}", take_apart, build)


KINDS = named(*(_kind(f"{form}_{kind}", *_FORMS[form]) for form in _FORMS for kind in ("matrix", "array")))


def find(value: typing.Any) -> typing.Optional[Kind]:
    return KINDS.get(f"scipy.sparse.{type(value).__name__}")
