"""NumPy dtypes as plain JSON, and back.

``dtype.str`` for the plain ones (it carries byte order and datetime unit); a dictionary for structured and
sub-array dtypes, because ``dtype.descr`` loses offsets, titles and alignment.
"""

import typing

import numpy as np

from tfkernels.errors import ExchangeError, NotPortable

Spec = typing.Union[str, typing.Dict[str, typing.Any]]

_PLAIN_KINDS = "biufcmMSUV"

# Thousands of small arrays are sent faster if the usual dtypes are not looked at closely.
_COMMON: "typing.Dict[np.dtype[typing.Any], str]" = {np.dtype(code): np.dtype(code).str for code in "?bBhHiIlLefdFD"}
_DECODED = {text: dtype for dtype, text in _COMMON.items()}


def encode_dtype(dtype: "np.dtype[typing.Any]") -> Spec:
    """A JSON description of ``dtype``; raises ``NotPortable`` for those that hold Python objects."""
    if dtype in _COMMON:
        return _COMMON[dtype]
    if dtype.hasobject:
        raise NotPortable(f"dtype {dtype} holds Python objects inside a record")
    if dtype.names is not None:
        return _encode_record(dtype)
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return {"base": encode_dtype(base), "shape": list(shape)}
    # A dtype that a library registered (bfloat16, float8) claims to be a void in `str`: its name would be lost.
    if dtype.kind not in _PLAIN_KINDS or np.dtype(dtype.str) != dtype:
        raise NotPortable(
            f"dtype {dtype} is not one of NumPy's own numeric, text or time dtypes; "
            "convert it first, for example with .astype('float32')"
        )
    return dtype.str


def _encode_record(dtype: "np.dtype[typing.Any]") -> typing.Dict[str, typing.Any]:
    names = typing.cast(typing.Tuple[str, ...], dtype.names)
    fields = [typing.cast(typing.Any, dtype.fields)[name] for name in names]
    return {
        "names": list(names),
        "formats": [encode_dtype(field[0]) for field in fields],
        "offsets": [field[1] for field in fields],
        "titles": [field[2] if len(field) > 2 else None for field in fields],
        "itemsize": dtype.itemsize,
        "aligned": dtype.isalignedstruct,
    }


def decode_dtype(spec: Spec) -> "np.dtype[typing.Any]":
    """The dtype that ``encode_dtype`` described; raises ``ExchangeError`` if NumPy here has none such."""
    if isinstance(spec, str) and spec in _DECODED:
        return _DECODED[spec]
    try:
        dtype = _decode(spec)
    except (TypeError, ValueError, KeyError) as error:
        raise ExchangeError(f"NumPy {np.__version__} here has no dtype {spec!r} ({error})") from error
    if dtype.hasobject:
        raise ExchangeError(f"refused: dtype {spec!r} would read Python objects from raw bytes")
    return dtype


def _decode(spec: typing.Any) -> "np.dtype[typing.Any]":
    if isinstance(spec, str):
        return np.dtype(spec)
    if "base" in spec:
        return np.dtype((_decode(spec["base"]), tuple(spec["shape"])))
    description = {
        "names": spec["names"],
        "formats": [_decode(part) for part in spec["formats"]],
        "offsets": spec["offsets"],
        "itemsize": spec["itemsize"],
    }
    if any(title is not None for title in spec["titles"]):
        description["titles"] = spec["titles"]
    record: np.dtype[typing.Any] = np.dtype(typing.cast(typing.Any, description), align=spec["aligned"])
    return record
