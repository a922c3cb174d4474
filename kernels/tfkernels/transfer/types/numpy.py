"""NumPy's own subclasses of arrays, its variable-length strings, and dtypes themselves."""

import typing

import numpy as np

from tfkernels.errors import ExchangeError
from tfkernels.transfer.dtype_encoding import decode_dtype, encode_dtype
from tfkernels.transfer.types.registry import Kind, Parts, named, stand_in

Array = typing.Any


def _masked_parts(array: Array) -> Parts:
    mask = np.ma.getmask(array)
    fill = np.asarray(array.fill_value)
    value, default = fill.tolist(), np.asarray(np.ma.default_fill_value(array)).tolist()
    usual = type(value) is type(default) and value == default
    return [
        (".data", np.asarray(array.data)),
        (".mask", None if mask is np.ma.nomask else np.asarray(mask)),
        (".fill_value", None if usual else fill),  # the default one of small integers could not be set
        (".hardmask", bool(array.hardmask)),
    ]


def _masked(data: Array, mask: Array, fill_value: Array, hard: bool) -> Array:
    array = np.ma.MaskedArray(data, mask=np.ma.nomask if mask is None else mask, hard_mask=hard)
    if fill_value is not None:
        array.fill_value = fill_value
    return array


def _strings_parts(array: Array) -> Parts:
    dtype = array.dtype
    missing = [dtype.na_object] if hasattr(dtype, "na_object") else []
    return [("", array.astype(object)), ("", bool(dtype.coerce)), (".dtype.na_object", missing)]


def _strings(items: Array, coerce: bool, missing: typing.List[typing.Any]) -> Array:
    if not hasattr(np, "dtypes") or not hasattr(np.dtypes, "StringDType"):
        raise ExchangeError(
            f"An array of StringDType arrived, and NumPy {np.__version__} here has none. Pass x.astype(object)."
        )
    options = {"na_object": missing[0]} if missing else {}
    return items.astype(np.dtypes.StringDType(coerce=coerce, **options))


_DTYPE = Kind("numpy.dtype", lambda dtype: [("", encode_dtype(dtype))], decode_dtype)
_BY_TYPE = {
    np.ma.MaskedArray: Kind("numpy.MaskedArray", _masked_parts, _masked),
    type(np.ma.masked): Kind("numpy.masked", lambda _: [], lambda: np.ma.masked),
    np.matrix: Kind("numpy.matrix", lambda m: [("", np.asarray(m))], lambda array: array.view(np.matrix)),
    np.recarray: Kind("numpy.recarray", lambda r: [("", r.view(np.ndarray))], lambda array: array.view(np.recarray)),
    np.memmap: stand_in(np.asarray),  # the file that it lies in stays where it is
    np.ndarray: Kind("numpy.StringDType", _strings_parts, _strings),  # the encoder knows all others
}

KINDS = named(*_BY_TYPE.values(), _DTYPE)


def find(value: typing.Any) -> typing.Optional[Kind]:
    return _DTYPE if isinstance(value, np.dtype) else _BY_TYPE.get(type(value))
