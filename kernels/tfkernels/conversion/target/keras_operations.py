"""Operations of Keras 3 that compute the same as TensorFlow's, for functional models. Not for other releases.

A function per operation has the parameters of TensorFlow's, after Keras's module ``ops``: an argument that it does not
name is an error, which names the layer. Those whose results differ (``tf.math.mod`` of negative numbers, integer
division) are left out.
"""

from typing import Any, Callable, Dict, List, Optional

import numpy as np

from tfkernels.errors import ConversionError

Function = Callable[..., Any]


def by_symbol(symbol: str) -> Optional[Function]:
    """For a function of TensorFlow, by its public name without ``tf.``: ``nn.relu``, ``math.add``."""
    return _SYMBOLS.get(symbol.replace("__operators__.", "math.") if symbol != "__operators__.getitem" else symbol)


def _binary(name: str) -> Function:
    def call(ops: Any, x: Any, y: Any) -> Any:
        return getattr(ops, name)(*_of_one_dtype(ops, x, y))

    return call


def _of_one_dtype(ops: Any, x: Any, y: Any) -> Any:
    """A number or list beside a tensor gets that one's dtype, as in TensorFlow; two dtypes are an error there."""
    dtypes = [str(one.dtype) for one in (x, y) if _is_tensor(one)]
    if len(set(dtypes)) != 1:
        raise ConversionError(f"its operands have the dtypes {' and '.join(dtypes)}")

    def of_dtype(value: Any) -> Any:
        if _is_tensor(value):
            return value
        array = np.asarray(value)
        if array.dtype.kind == "f" and "float" not in dtypes[0]:
            raise ConversionError(f"one of its operands is a fraction, and the other {dtypes[0]}")
        if array.ndim == 0:
            return float(array) if "float" in dtypes[0] else array.item()
        return array.astype("float32" if dtypes[0] == "bfloat16" else dtypes[0])

    return of_dtype(x), of_dtype(y)


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "_keras_history")


def _unary(name: str, only_floats: bool = True) -> Function:
    def call(ops: Any, x: Any) -> Any:
        if only_floats:
            _check_float(x)
        return getattr(ops, name)(x)

    return call


def _check_float(*tensors: Any) -> None:
    for tensor in tensors:
        dtype = str(getattr(tensor, "dtype", "float32"))
        if "float" not in dtype:
            raise ConversionError(f"it computes with {dtype}, for which Keras 3 may give another dtype")


def _renamed(function: Function, parameter: str) -> Function:
    """The same function where TensorFlow calls the first parameter otherwise than ``x``."""

    def call(ops: Any, *args: Any, **kwargs: Any) -> Any:
        if parameter in kwargs:
            args = (kwargs.pop(parameter), *args)
        return function(ops, *args, **kwargs)

    return call


def _reduction(name: str) -> Function:
    def call(ops: Any, input_tensor: Any, axis: Any = None, keepdims: bool = False) -> Any:
        if name in ("mean", "sum", "prod"):
            _check_float(input_tensor)
        return getattr(ops, name)(input_tensor, axis=_axes(axis), keepdims=bool(keepdims))

    return call


def _axes(axis: Any) -> Any:
    return tuple(axis) if isinstance(axis, list) else axis


def _softmax(ops: Any, logits: Any, axis: Any = -1) -> Any:
    _check_float(logits)
    return ops.softmax(logits, axis=-1 if axis is None else axis)


def _log_softmax(ops: Any, logits: Any, axis: Any = -1) -> Any:
    return ops.log_softmax(logits, axis=-1 if axis is None else axis)


def _leaky_relu(ops: Any, features: Any, alpha: float = 0.2) -> Any:
    return ops.leaky_relu(features, negative_slope=alpha)


def _gelu(ops: Any, features: Any, approximate: bool = False) -> Any:
    return ops.gelu(features, approximate=approximate)


def _silu(ops: Any, features: Any, beta: float = 1.0) -> Any:
    return ops.silu(features) if beta == 1.0 else features * ops.sigmoid(beta * features)


def _reshape(ops: Any, tensor: Any, shape: Any) -> Any:
    if any(_is_tensor(size) for size in [shape, *_items(shape)]):
        raise ConversionError("its new shape is computed while the model runs")
    return ops.reshape(tensor, [int(size) for size in shape])


def _items(value: Any) -> List[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _transpose(ops: Any, a: Any, perm: Any = None, conjugate: bool = False) -> Any:
    return ops.transpose(a, None if perm is None else tuple(perm))


def _concat(ops: Any, values: Any, axis: int) -> Any:
    return ops.concatenate(list(values), axis=axis)


def _stack(ops: Any, values: Any, axis: int = 0) -> Any:
    return ops.stack(list(values), axis=axis)


def _unstack(ops: Any, value: Any, num: Any = None, axis: int = 0) -> Any:
    return ops.unstack(value, num, axis)


def _split(ops: Any, value: Any, num_or_size_splits: Any, axis: int = 0, num: Any = None) -> Any:
    if isinstance(num_or_size_splits, int):
        return ops.split(value, num_or_size_splits, axis=axis)
    ends = [sum(num_or_size_splits[: place + 1]) for place in range(len(num_or_size_splits) - 1)]
    return ops.split(value, ends, axis=axis)


def _expand_dims(ops: Any, input: Any, axis: Any) -> Any:  # noqa: A002 (TensorFlow's name)
    return ops.expand_dims(input, axis)


def _squeeze(ops: Any, input: Any, axis: Any = None) -> Any:  # noqa: A002 (TensorFlow's name)
    return ops.squeeze(input, _axes(axis))


_DTYPES = {"float": "float32", "double": "float64", "half": "float16"}
"""What nodes call dtypes otherwise than functions."""


def _cast(ops: Any, x: Any, dtype: Any) -> Any:
    name = str(dtype["config"] if isinstance(dtype, dict) else dtype).replace("DT_", "").lower()
    return ops.cast(x, _DTYPES.get(name, name))


def _clip(ops: Any, t: Any, clip_value_min: Any, clip_value_max: Any) -> Any:
    return ops.clip(t, clip_value_min, clip_value_max)


def _matmul(
    ops: Any,
    a: Any,
    b: Any,
    transpose_a: bool = False,
    transpose_b: bool = False,
) -> Any:
    _check_float(a, b)
    return ops.matmul(_last_swapped(ops, a, transpose_a), _last_swapped(ops, b, transpose_b))


def _last_swapped(ops: Any, tensor: Any, swap: bool) -> Any:
    return ops.swapaxes(tensor, -1, -2) if swap else tensor


def _tile(ops: Any, input: Any, multiples: Any) -> Any:  # noqa: A002 (TensorFlow's name)
    return ops.tile(input, [int(count) for count in multiples])


def _pad(ops: Any, tensor: Any, paddings: Any, mode: str = "CONSTANT", constant_values: Any = 0) -> Any:
    pairs = [[int(size) for size in pair] for pair in paddings]
    if mode.upper() == "CONSTANT":
        return ops.pad(tensor, pairs, mode="constant", constant_values=constant_values)
    return ops.pad(tensor, pairs, mode=mode.lower())


def _gather(ops: Any, params: Any, indices: Any, axis: Any = None, validate_indices: Any = None) -> Any:
    return ops.take(params, indices, axis=0 if axis is None else axis)


def _argmax(ops: Any, input: Any, axis: Any = None) -> Any:  # noqa: A002 (TensorFlow's name)
    return ops.cast(ops.argmax(input, axis=0 if axis is None else axis), "int64")


def _one_hot(ops: Any, indices: Any, depth: int, axis: int = -1) -> Any:
    return ops.one_hot(indices, depth, axis=axis)


def _identity(ops: Any, input: Any) -> Any:  # noqa: A002 (TensorFlow's name)
    return input


def _stop_gradient(ops: Any, input: Any) -> Any:  # noqa: A002 (TensorFlow's name)
    return ops.stop_gradient(input)


def _bias_add(ops: Any, value: Any, bias: Any, data_format: Any = None) -> Any:
    if data_format not in (None, "NHWC"):
        raise ConversionError("it adds a bias to channels that come first")
    return ops.add(*_of_one_dtype(ops, value, bias))


def _where(ops: Any, condition: Any, x: Any, y: Any) -> Any:
    return ops.where(condition, *_of_one_dtype(ops, x, y))


def _add_n(ops: Any, inputs: Any) -> Any:
    total = inputs[0]
    for one in inputs[1:]:
        total = ops.add(total, one)
    return total


def _getitem(ops: Any, tensor: Any, slice_spec: Any) -> Any:
    return _sliced(tensor, slice_spec)


def _sliced(tensor: Any, spec: Any) -> Any:
    def one(item: Any) -> Any:
        if isinstance(item, dict) and {"start", "stop", "step"} <= set(item):
            return slice(item["start"], item["stop"], item["step"])
        if isinstance(item, dict):
            return Ellipsis
        if item == "...":
            return Ellipsis
        if _is_tensor(item):
            raise ConversionError("its range is computed while the model runs")
        return item

    return tensor[tuple(one(item) for item in spec) if isinstance(spec, list) else one(spec)]


_BINARY = {
    "math.add": "add", "math.subtract": "subtract", "math.sub": "subtract", "math.multiply": "multiply",
    "math.mul": "multiply", "math.maximum": "maximum", "math.minimum": "minimum", "math.pow": "power",
    "math.greater": "greater", "math.greater_equal": "greater_equal", "math.less": "less",
    "math.less_equal": "less_equal", "math.equal": "equal", "math.not_equal": "not_equal",
}  # fmt: skip
_UNARY = {
    "math.exp": "exp", "math.log": "log", "math.log1p": "log1p", "math.expm1": "expm1", "math.sqrt": "sqrt",
    "math.rsqrt": "rsqrt", "math.sin": "sin", "math.cos": "cos", "math.sigmoid": "sigmoid", "math.tanh": "tanh",
    "math.erf": "erf", "math.floor": "floor", "math.ceil": "ceil", "math.softplus": "softplus",
}  # fmt: skip
_FEATURES = {
    "nn.relu": "relu", "nn.relu6": "relu6", "nn.elu": "elu", "nn.selu": "selu", "nn.softsign": "softsign",
    "nn.softplus": "softplus",
}  # fmt: skip
_ANY_DTYPE = {"math.negative": "negative", "math.abs": "absolute", "math.square": "square", "math.sign": "sign"}


def _divide(ops: Any, x: Any, y: Any) -> Any:
    x, y = _of_one_dtype(ops, x, y)
    _check_float(x, y)
    return ops.divide(x, y)


_SYMBOLS: Dict[str, Function] = {
    **{symbol: _binary(name) for symbol, name in _BINARY.items()},
    **{symbol: _unary(name) for symbol, name in _UNARY.items()},
    **{symbol: _renamed(_unary(name), "features") for symbol, name in _FEATURES.items()},
    **{symbol: _unary(name, only_floats=False) for symbol, name in _ANY_DTYPE.items()},
    **{f"math.reduce_{name}": _reduction(name) for name in ("mean", "sum", "max", "min", "prod", "any", "all")},
    "math.truediv": _divide,
    "math.divide": _divide,
    "nn.sigmoid": _unary("sigmoid"),
    "nn.tanh": _unary("tanh"),
    "nn.softmax": _softmax,
    "nn.log_softmax": _log_softmax,
    "nn.leaky_relu": _leaky_relu,
    "nn.gelu": _gelu,
    "nn.silu": _silu,
    "nn.swish": _silu,
    "nn.bias_add": _bias_add,
    "reshape": _reshape,
    "transpose": _transpose,
    "concat": _concat,
    "stack": _stack,
    "unstack": _unstack,
    "split": _split,
    "expand_dims": _expand_dims,
    "squeeze": _squeeze,
    "cast": _cast,
    "clip_by_value": _clip,
    "linalg.matmul": _matmul,
    "tile": _tile,
    "pad": _pad,
    "gather": _gather,
    "math.argmax": _argmax,
    "one_hot": _one_hot,
    "identity": _identity,
    "stop_gradient": _stop_gradient,
    "where": _where,
    "math.add_n": _add_n,
    "__operators__.getitem": _getitem,
}
