"""Nodes of TensorFlow's graphs as operations of Keras 3: their settings are inputs and attributes, not arguments."""

from typing import Any, Dict, List, Mapping, Optional

from tfkernels.conversion.target.keras_operations import Function, by_symbol
from tfkernels.errors import ConversionError

_Inputs = List[Any]
_Attributes = Mapping[str, Any]


def by_node(kind: str) -> Optional[Function]:
    """For a node's operation. The function takes ``ops``, the inputs and the attributes."""
    return _NODES.get(kind)


def _of(symbol: str) -> Function:
    function = by_symbol(symbol)
    assert function is not None, symbol
    return function


def _plain(symbol: str) -> Function:
    """A node whose inputs are the function's arguments, and whose attributes say nothing but dtypes."""

    def call(ops: Any, inputs: _Inputs, attributes: _Attributes) -> Any:
        return _of(symbol)(ops, *inputs)

    return call


def _node_reduction(symbol: str) -> Function:
    def call(ops: Any, inputs: _Inputs, attributes: _Attributes) -> Any:
        return _of(symbol)(ops, inputs[0], inputs[1], bool(attributes.get("keep_dims")))

    return call


def _node_matmul(ops: Any, inputs: _Inputs, attributes: _Attributes) -> Any:
    swap = [bool(attributes.get(f"transpose_{side}") or attributes.get(f"adj_{other}")) for side, other in ("ax", "by")]
    return _of("linalg.matmul")(ops, inputs[0], inputs[1], *swap)


def _node_concat(ops: Any, inputs: _Inputs, attributes: _Attributes) -> Any:
    return _of("concat")(ops, inputs[:-1], int(inputs[-1]))


def _node_stack(ops: Any, inputs: _Inputs, attributes: _Attributes) -> Any:
    return _of("stack")(ops, inputs, int(attributes.get("axis") or 0))


def _node_unstack(ops: Any, inputs: _Inputs, attributes: _Attributes) -> Any:
    return _of("unstack")(ops, inputs[0], attributes.get("num"), int(attributes.get("axis") or 0))


def _node_squeeze(ops: Any, inputs: _Inputs, attributes: _Attributes) -> Any:
    return _of("squeeze")(ops, inputs[0], attributes.get("squeeze_dims") or attributes.get("axis") or None)


def _node_split(ops: Any, inputs: _Inputs, attributes: _Attributes) -> Any:
    return _of("split")(ops, inputs[1], int(attributes["num_split"]), int(inputs[0]))


def _node_pad(ops: Any, inputs: _Inputs, attributes: _Attributes) -> Any:
    return _of("pad")(ops, inputs[0], inputs[1], constant_values=inputs[2] if len(inputs) > 2 else 0)


def _node_leaky_relu(ops: Any, inputs: _Inputs, attributes: _Attributes) -> Any:
    return _of("nn.leaky_relu")(ops, inputs[0], float(attributes.get("alpha", 0.2)))


def _node_cast(ops: Any, inputs: _Inputs, attributes: _Attributes) -> Any:
    return _of("cast")(ops, inputs[0], attributes["DstT"])


def _node_bias_add(ops: Any, inputs: _Inputs, attributes: _Attributes) -> Any:
    return _of("nn.bias_add")(ops, inputs[0], inputs[1], attributes.get("data_format"))


def _node_gather(ops: Any, inputs: _Inputs, attributes: _Attributes) -> Any:
    if int(attributes.get("batch_dims") or 0):
        raise ConversionError(f"it gathers within {attributes['batch_dims']} batch dimensions")
    return _of("gather")(ops, inputs[0], inputs[1], int(inputs[2]) if len(inputs) > 2 else 0)


def _node_strided_slice(ops: Any, inputs: _Inputs, attributes: _Attributes) -> Any:
    """``x[a:b:c, …]`` as begins, ends and steps, and masks with a bit for each place of the index."""
    tensor, begins, ends, steps = inputs
    masks = {
        name: int(attributes.get(f"{name}_mask") or 0)
        for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    }
    index: List[Any] = []
    for place, (begin, end, step) in enumerate(zip(begins, ends, steps)):
        bit = {name: bool(mask >> place & 1) for name, mask in masks.items()}
        if bit["ellipsis"]:
            index.append(Ellipsis)
        elif bit["new_axis"]:
            index.append(None)
        elif bit["shrink_axis"]:
            index.append(int(begin))
        else:
            index.append(slice(None if bit["begin"] else int(begin), None if bit["end"] else int(end), int(step)))
    return tensor[tuple(index)]


_NODES: Dict[str, Function] = {
    **{node: _plain(symbol) for node, symbol in (
        ("Add", "math.add"), ("AddV2", "math.add"), ("Sub", "math.subtract"), ("Mul", "math.multiply"),
        ("RealDiv", "math.divide"), ("Maximum", "math.maximum"), ("Minimum", "math.minimum"), ("Pow", "math.pow"),
        ("Greater", "math.greater"), ("GreaterEqual", "math.greater_equal"), ("Less", "math.less"),
        ("LessEqual", "math.less_equal"), ("Equal", "math.equal"), ("NotEqual", "math.not_equal"),
        ("Exp", "math.exp"), ("Log", "math.log"), ("Log1p", "math.log1p"), ("Expm1", "math.expm1"),
        ("Sqrt", "math.sqrt"), ("Rsqrt", "math.rsqrt"), ("Sin", "math.sin"), ("Cos", "math.cos"),
        ("Sigmoid", "math.sigmoid"), ("Tanh", "math.tanh"), ("Erf", "math.erf"), ("Floor", "math.floor"),
        ("Ceil", "math.ceil"), ("Softplus", "math.softplus"), ("Neg", "math.negative"), ("Abs", "math.abs"),
        ("Square", "math.square"), ("Sign", "math.sign"), ("Relu", "nn.relu"), ("Relu6", "nn.relu6"),
        ("Elu", "nn.elu"), ("Selu", "nn.selu"), ("Softsign", "nn.softsign"), ("Softmax", "nn.softmax"),
        ("LogSoftmax", "nn.log_softmax"), ("Reshape", "reshape"), ("Transpose", "transpose"),
        ("ExpandDims", "expand_dims"), ("Tile", "tile"), ("Identity", "identity"),
        ("StopGradient", "stop_gradient"), ("Select", "where"), ("SelectV2", "where"), ("ClipByValue", "clip_by_value"),
    )},
    **{node: _node_reduction(f"math.reduce_{name}") for node, name in (
        ("Mean", "mean"), ("Sum", "sum"), ("Max", "max"), ("Min", "min"), ("Prod", "prod"), ("Any", "any"),
        ("All", "all"),
    )},
    "MatMul": _node_matmul, "BatchMatMul": _node_matmul, "BatchMatMulV2": _node_matmul,
    "ConcatV2": _node_concat, "Pack": _node_stack, "Unpack": _node_unstack, "Squeeze": _node_squeeze,
    "Split": _node_split, "LeakyRelu": _node_leaky_relu, "Cast": _node_cast, "BiasAdd": _node_bias_add,
    "GatherV2": _node_gather, "StridedSlice": _node_strided_slice, "Pad": _node_pad, "PadV2": _node_pad,
}  # fmt: skip
