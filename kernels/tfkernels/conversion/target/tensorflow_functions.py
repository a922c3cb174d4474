"""Operations of Keras 3 as functions of TensorFlow that compute the same. Keras 2 makes layers of them by itself.

A function gets TensorFlow, the settings of the operation, and the arguments of its call. Those whose results differ
(integer division, dtypes that Keras 3 chooses) are left out.
"""

from typing import Any, Callable, Dict, Mapping, Optional

from tfkernels.errors import ConversionError

Function = Callable[..., Any]


def by_class(name: str) -> Optional[Function]:
    """For the name of an operation's class: ``NotEqual``, ``Relu``."""
    return _CLASSES.get(name)


def hard_sigmoid(tensorflow: Any, x: Any) -> Any:
    """Keras 3's, whose slope is 1/6."""
    return tensorflow.nn.relu6(x + 3.0) / 6.0


def _plain(symbol: str, only_floats: bool = False) -> Function:
    def call(tensorflow: Any, _: Mapping[str, Any], *args: Any) -> Any:
        if only_floats:
            _check_float(args)
        return _function(tensorflow, symbol)(*args)

    return call


def _function(tensorflow: Any, symbol: str) -> Any:
    found = tensorflow
    for part in symbol.split("."):
        found = getattr(found, part)
    return found


def _check_float(args: Any) -> None:
    """Of integers Keras 3 makes float32 here, and TensorFlow float64, or an error."""
    for one in args:
        dtype = getattr(getattr(one, "dtype", None), "name", "float32")
        if "float" not in dtype:
            raise ConversionError(f"it computes with {dtype}, of which Keras 3 makes another dtype than TensorFlow")


def _reduction(symbol: str, only_floats: bool) -> Function:
    def call(tensorflow: Any, settings: Mapping[str, Any], x: Any) -> Any:
        if only_floats:
            _check_float([x])
        axis = settings.get("axis")
        axis = list(axis) if isinstance(axis, (list, tuple)) else axis
        return _function(tensorflow, symbol)(x, axis=axis, keepdims=bool(settings.get("keepdims")))

    return call


def _with(symbol: str, **given: str) -> Function:
    """A function whose further arguments are settings of the operation: ``{argument: setting}``."""

    def call(tensorflow: Any, settings: Mapping[str, Any], x: Any) -> Any:
        return _function(tensorflow, symbol)(x, **{one: settings[setting] for one, setting in given.items()})

    return call


def _get_item(_: Any, __: Mapping[str, Any], x: Any, key: Any) -> Any:
    return x[tuple(key) if isinstance(key, list) else key]


_CLASSES: Dict[str, Function] = {
    **{kind: _plain(symbol) for kind, symbol in (
        ("Add", "add"), ("Subtract", "subtract"), ("Multiply", "multiply"), ("Maximum", "maximum"),
        ("Minimum", "minimum"), ("Equal", "equal"), ("NotEqual", "not_equal"), ("Greater", "greater"),
        ("GreaterEqual", "greater_equal"), ("Less", "less"), ("LessEqual", "less_equal"),
        ("LogicalAnd", "logical_and"), ("LogicalOr", "logical_or"), ("LogicalNot", "logical_not"),
        ("Negative", "negative"), ("Absolute", "abs"), ("Abs", "abs"), ("Square", "square"), ("Sign", "sign"),
    )},
    **{kind: _plain(symbol, only_floats=True) for kind, symbol in (
        ("TrueDivide", "divide"), ("Divide", "divide"), ("Sqrt", "sqrt"), ("Rsqrt", "math.rsqrt"), ("Exp", "exp"),
        ("Log", "math.log"), ("Log1p", "math.log1p"), ("Expm1", "math.expm1"), ("Sin", "sin"), ("Cos", "cos"),
        ("Tanh", "tanh"), ("Sigmoid", "sigmoid"), ("Softplus", "math.softplus"), ("Softsign", "nn.softsign"),
        ("Relu", "nn.relu"), ("Relu6", "nn.relu6"), ("Selu", "nn.selu"), ("Matmul", "matmul"),
    )},
    **{kind: _reduction(f"reduce_{kind.lower()}", only_floats=kind in ("Mean", "Sum", "Prod"))
       for kind in ("Mean", "Sum", "Max", "Min", "Prod")},
    "HardSigmoid": lambda tensorflow, _, x: hard_sigmoid(tensorflow, x),
    "Softmax": _with("nn.softmax", axis="axis"), "Reshape": _with("reshape", shape="newshape"),
    "LeakyRelu": _with("nn.leaky_relu", alpha="negative_slope"), "Transpose": _with("transpose", perm="axes"),
    "ExpandDims": _with("expand_dims", axis="axis"), "Squeeze": _with("squeeze", axis="axis"),
    "Concatenate": _with("concat", axis="axis"), "Stack": _with("stack", axis="axis"),
    "Cast": _with("cast", dtype="dtype"), "GetItem": _get_item,
}  # fmt: skip
