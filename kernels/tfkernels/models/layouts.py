"""Recurrent layers that hold the same numbers in another order: CuDNN's layers, and TensorFlow's cells.

A layer is given by the names of its weights within it: ``kernel``, ``recurrent_kernel``, ``bias``.
"""

from typing import Any, Dict, Mapping, Optional

import numpy as np

from tfkernels.models.match import Shape, Shapes

_IN_ONE = "has another layout: a TensorFlow cell holds kernel and recurrent_kernel in one"
_CELLS = {
    1: "",
    3: ", with gates r and u, and the candidate apart (Keras: u, r, candidate; reset_after=False)",
    4: ", with gates i, j, f, o (Keras: i, f, j, o), and adds its forget_bias later",
}
"""What else is different, by the number of gates."""

_CUDNN = "has another layout: CuDNN's layers go with LSTM, and with GRU(reset_after=True), with a bias"


def convert(source: Mapping[str, Any], target: Shapes) -> Optional[Dict[str, Any]]:
    """The arrays of a layer as the target holds them, if one of the two is CuDNN's and the other its counterpart."""
    shapes = {name: array.shape for name, array in source.items()}
    from_cudnn = _is_cudnn(shapes)
    if from_cudnn == _is_cudnn(target) or any(shapes.get(name) != target.get(name) for name in _KERNELS):
        return None
    units, columns = target["recurrent_kernel"]
    gates = columns // units
    biases = (columns,) if gates == 4 else (2, columns)
    if (target.get("bias", biases) if from_cudnn else shapes.get("bias")) != biases:
        return None
    change = _from_cudnn if from_cudnn else _to_cudnn
    arrays = {name: np.hstack([change(gate) for gate in np.split(source[name], gates, axis=1)]) for name in _KERNELS}
    bias = source["bias"]
    if gates == 4:
        arrays["bias"] = bias.reshape(2, -1).sum(axis=0) if from_cudnn else np.tile(bias / 2, 2)
    else:
        arrays["bias"] = bias.reshape(2, -1) if from_cudnn else bias.ravel()
    return {name: array.astype(source[name].dtype, copy=False) for name, array in arrays.items()}


def difference(source: Shapes, target: Shapes) -> str:
    """Why a layer cannot take the weights of another, if their layouts are known to differ; or an empty text."""
    if _is_cudnn(source) != _is_cudnn(target) and all(name in one for name in _KERNELS for one in (source, target)):
        return _CUDNN
    for keras, cell in ((target, source), (source, target)):
        gates = _gates_in_one(keras, cell)
        if gates in _CELLS:
            return _IN_ONE + _CELLS[gates]
    return ""


_KERNELS = ("kernel", "recurrent_kernel")


def _is_cudnn(layer: Shapes) -> bool:
    """CuDNN's layers have a bias for the inputs, and one for the state, behind each other."""
    kernel, recurrent = (layer.get(name, ()) for name in _KERNELS)
    return (
        len(kernel) == len(recurrent) == 2
        and kernel[1] == recurrent[1] in (3 * recurrent[0], 4 * recurrent[0])
        and layer.get("bias") == (2 * recurrent[1],)
    )


def _from_cudnn(gate: Any) -> Any:
    return gate.reshape(gate.shape[::-1]).T


def _to_cudnn(gate: Any) -> Any:
    return gate.T.reshape(gate.shape)


def _gates_in_one(keras: Shapes, cell: Shapes) -> int:
    """The number of gates if ``cell`` has for inputs and state in one kernel what ``keras`` has in two; or 0."""
    kernel, recurrent, one = keras.get("kernel", ()), keras.get("recurrent_kernel", ()), cell.get("kernel", ())
    if min(len(kernel), len(recurrent), len(one)) < 2 or "recurrent_kernel" in cell or not recurrent[-2]:
        return 0
    rows: Shape = (*kernel[:-2], kernel[-2] + recurrent[-2])
    gates = recurrent[-1] // recurrent[-2]
    columns = (2 * recurrent[-2], recurrent[-2]) if gates == 3 else (kernel[-1],)
    return gates if one[:-1] == rows and one[-1] in columns else 0
