"""NumPy dtypes as plain JSON, and back.

``dtype.str`` for the plain ones (it carries byte order and datetime unit), with C's name where two of C's types are
alike here, such as long and long long; a dictionary for structured and sub-array dtypes, because ``dtype.descr`` loses
offsets, titles and alignment; the name for those that ml_dtypes or TensorFlow registered with NumPy (bfloat16,
float8_…), whose ``str`` says no more than their size.
"""

import re
import sys
import typing

import numpy as np

from tfkernels.errors import ExchangeError, MissingPackage, NotPortable
from tfkernels.imports import own_imports

Array = typing.Any
"""A NumPy array, of any dtype."""
Spec = typing.Union[str, typing.Dict[str, typing.Any]]

_PLAIN_KINDS = "biufcmMSUV"
_PLAIN = re.compile(rf"[<>|=][{_PLAIN_KINDS}]\d+(\[\w+\])?$")  # NumPy reads much more: lists, names, aliases

# Thousands of small arrays are sent faster if the usual dtypes are not looked at closely.
_DECODED = {np.dtype(code).str: np.dtype(np.dtype(code).str) for code in "?bBhHiIlLqQefdFD"}
_COMMON = {dtype: text for text, dtype in _DECODED.items()}
COMMON_TYPES: "typing.Dict[type, np.dtype[typing.Any]]" = {dtype.type: dtype for dtype in _COMMON}

_TWINS = {
    dtype.type.__name__: dtype.char for dtype in map(np.dtype, "bBhHiIlLqQdgDG") if dtype.type not in COMMON_TYPES
}
"""NumPy's types of which another one equals the dtype, by name; their scalars are of a type of their own."""


def encode_dtype(dtype: "np.dtype[typing.Any]") -> Spec:
    """A JSON description of ``dtype``; raises ``NotPortable`` for those that hold Python objects."""
    text = common(dtype)
    if text is not None:
        return text
    if dtype.hasobject:
        raise NotPortable(
            f"dtype {dtype} holds Python objects inside a record. Pass its fields: {{name: x[name] for name in "
            f"x.dtype.names}}"
        )
    if dtype.names is not None:
        return _encode_record(dtype)
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return {"base": encode_dtype(base), "shape": list(shape)}
    name = dtype.type.__name__
    if name in _TWINS and np.dtype(dtype.str).type is not dtype.type:
        return {"type": name, "str": dtype.str}
    if dtype.isbuiltin == 1:
        return dtype.str
    if any(dtype == registered for registered in _registered(name)):
        return {"registered": name}
    if dtype.kind not in _PLAIN_KINDS or dtype.type.__module__ != "numpy":
        raise NotPortable(
            f"dtype {dtype} is neither NumPy's nor of ml_dtypes. Convert it, for example with .astype('float32')."
        )
    return dtype.str


def common(dtype: "np.dtype[typing.Any]") -> typing.Optional[str]:
    """``dtype.str`` of one of the usual dtypes, or ``None``."""
    text = _COMMON.get(dtype)
    return text if text is None or dtype.type in COMMON_TYPES else None  # a twin equals it


def _registered(name: str) -> typing.Iterator["np.dtype[typing.Any]"]:
    """The dtypes of that name that libraries in this process registered with NumPy; ml_dtypes' comes first."""
    found = getattr(sys.modules.get("ml_dtypes"), name, None)
    if isinstance(found, type) and issubclass(found, np.generic):
        yield np.dtype(found)
    tensorflow = sys.modules.get("tensorflow")
    if name == "bfloat16" and hasattr(tensorflow, "bfloat16"):  # before 2.12 or so it brought its own
        own = np.dtype(typing.cast(typing.Any, tensorflow).bfloat16.as_numpy_dtype)
        if own.type.__name__ == name:  # in the first releases it is uint16
            yield own


def _decode_registered(name: str) -> "np.dtype[typing.Any]":
    try:
        with own_imports():
            import ml_dtypes
    except ImportError as error:
        for dtype in _registered(name):
            return dtype
        instead = "(It needs Python 3.7, and brings a newer NumPy if that is older than 1.21.) "
        if name == "bfloat16":
            instead += "Or import tensorflow 1.5 or newer there first, whose own bfloat16 is used then. "
        raise MissingPackage(
            "ml_dtypes", f"an array of {name}", str(error), instead + "Or pass x.astype('float32')."
        ) from error
    for dtype in _registered(name):
        return dtype
    raise ExchangeError(
        f"An array of {name} arrived, and ml_dtypes {ml_dtypes.__version__} here has none. Try a newer one "
        f"(%pip install -U ml_dtypes), or pass x.astype('float32')."
    )


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
        "record": dtype.type is np.record,
    }


def decode_dtype(spec: Spec) -> "np.dtype[typing.Any]":
    """The dtype that ``encode_dtype`` described; raises ``ExchangeError`` if NumPy here has none such."""
    if isinstance(spec, str) and spec in _DECODED:
        return _DECODED[spec]
    try:
        dtype = _decode(spec)
    except (TypeError, ValueError, KeyError) as error:
        raise ExchangeError(f"NumPy {np.__version__} here has no dtype {spec!r}: {error}") from error
    if dtype.hasobject:
        raise ExchangeError(f"The message is damaged: dtype {spec!r} would read Python objects from raw bytes.")
    return dtype


def _decode(spec: typing.Any) -> "np.dtype[typing.Any]":
    if isinstance(spec, str):
        if not _PLAIN.match(spec):
            raise TypeError("it is not written as dtype.str writes it")
        return np.dtype(spec)
    if "type" in spec:
        plain = _decode(spec["str"])
        twin = np.dtype(_TWINS[spec["type"]]).newbyteorder(plain.byteorder) if spec["type"] in _TWINS else plain
        return twin if twin == plain else plain  # on another platform others are alike
    if "registered" in spec:
        return _decode_registered(spec["registered"])
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
    return np.dtype((np.record, record)) if spec["record"] else record
