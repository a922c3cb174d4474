"""scipy.sparse: every format, as matrix and as array."""

import typing

import scipy
import scipy.sparse

from tfkernels.errors import ExchangeError
from tfkernels.transfer.types.registry import Kind, Parts, attributes, named

Sparse = typing.Any


def _kinds() -> typing.Iterator[Kind]:
    for name in ("matrix", "array"):
        for form in ("csr", "csc", "bsr"):
            yield _kind(f"{form}_{name}", attributes("data", "indices", "indptr", "shape"), _compressed)
        yield _kind(f"coo_{name}", _coordinate_parts, _coordinates)
        yield _kind(f"dia_{name}", attributes("data", "offsets", "shape"), _diagonals)
        for form in ("lil", "dok"):
            yield _kind(f"{form}_{name}", _converted_parts, _converted)


def _kind(name: str, take_apart: typing.Callable[[Sparse], Parts], put_together: typing.Any) -> Kind:
    def build(*parts: typing.Any) -> Sparse:
        if not hasattr(scipy.sparse, name):  # not a matrix instead: there `*` means something else
            raise ExchangeError(
                f"A scipy.sparse.{name} arrived, and scipy {scipy.__version__} here has none. "
                f"Pass scipy.sparse.{name.replace('array', 'matrix')}(x)."
            )
        return put_together(name, *parts)

    return Kind(f"scipy.sparse.{name}", take_apart, build)


def _class(name: str) -> typing.Any:
    return getattr(scipy.sparse, name)


def _compressed(name: str, data: Sparse, indices: Sparse, indptr: Sparse, shape: typing.Any) -> Sparse:
    value = _class(name)((data, indices, indptr), shape=shape)
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


def _coordinates(name: str, data: Sparse, coordinates: Sparse, shape: typing.Any, canonical: bool) -> Sparse:
    value = _class(name)((data, coordinates), shape=shape)
    if hasattr(value, "coords"):
        value.coords = coordinates
    else:
        value.row, value.col = coordinates
    value.has_canonical_format = canonical
    return value


def _diagonals(name: str, data: Sparse, offsets: Sparse, shape: typing.Any) -> Sparse:
    value = _class(name)((data, offsets), shape=shape)
    value.offsets = offsets
    return value


def _converted_parts(value: Sparse) -> Parts:
    return _coordinate_parts(value.tocoo())


def _converted(name: str, data: Sparse, coordinates: Sparse, shape: typing.Any, canonical: bool) -> Sparse:
    form, _, kind = name.partition("_")
    return _coordinates(f"coo_{kind}", data, coordinates, shape, canonical).asformat(form)


KINDS = named(*_kinds())


def find(value: typing.Any) -> typing.Optional[Kind]:
    return KINDS.get(f"scipy.sparse.{type(value).__name__}")
