"""TensorFlow's tensors and variables.

Dense ones that have a value arrive as an array, in every kernel. Ragged and sparse ones arrive as themselves where
TensorFlow executes eagerly, and elsewhere as the ``…Value`` that ``Session.run`` gives.
"""

import typing

import tensorflow as tf

from tfkernels.errors import NotPortable
from tfkernels.transfer.types import keras, python
from tfkernels.transfer.types.registry import Kind, Parts, attributes, named, stand_in

Tensor = typing.Any

_v1 = getattr(getattr(tf, "compat", tf), "v1", tf)  # before 1.13 everything is at the top


def _array(tensor: Tensor) -> typing.Any:
    try:
        return tensor.numpy()
    except RecursionError:
        raise
    except Exception as error:  # which one differs between releases, and by what is missing
        raise NotPortable(
            f"this {type(tensor).__name__} has no value yet, it is part of a graph; run it in a session and pass the "
            "result: sess.run(tensor), or tensor.numpy() with eager execution"
        ) from error


def _ragged_parts(ragged: Tensor) -> Parts:
    return [
        (".values", ragged.values),
        (".row_splits", ragged.row_splits),
        (".uniform_row_length", getattr(ragged, "uniform_row_length", None)),
    ]


def _ragged(values: typing.Any, splits: typing.Any, length: typing.Any) -> Tensor:
    if not tf.executing_eagerly():
        return _RAGGED_VALUE(values, splits)
    if length is not None and hasattr(tf.RaggedTensor, "from_uniform_row_length"):
        return tf.RaggedTensor.from_uniform_row_length(values, length, nrows=len(splits) - 1)
    return tf.RaggedTensor.from_row_splits(values, splits)


def _sparse(indices: typing.Any, values: typing.Any, shape: typing.Any) -> Tensor:
    cls = tf.SparseTensor if tf.executing_eagerly() else _v1.SparseTensorValue
    return cls(indices, values, shape)


def _slices(values: typing.Any, indices: typing.Any, shape: typing.Any) -> Tensor:
    if tf.executing_eagerly():
        return tf.IndexedSlices(*[None if part is None else tf.constant(part) for part in (values, indices, shape)])
    return python.tuple_class("IndexedSlicesValue", ("values", "indices", "dense_shape"))(values, indices, shape)


_SPARSE_PARTS = attributes("indices", "values", "dense_shape")
_RAGGED_VALUE: typing.Any = getattr(getattr(_v1, "ragged", None), "RaggedTensorValue", None)

_KINDS: typing.Sequence[typing.Tuple[typing.Any, Kind]] = [
    (getattr(tf, "RaggedTensor", None), Kind("tensorflow.RaggedTensor", _ragged_parts, _ragged)),
    (tf.SparseTensor, Kind("tensorflow.SparseTensor", _SPARSE_PARTS, _sparse)),
    (tf.IndexedSlices, Kind("tensorflow.IndexedSlices", attributes("values", "indices", "dense_shape"), _slices)),
    (_v1.SparseTensorValue, Kind("tensorflow.SparseTensorValue", _SPARSE_PARTS, _v1.SparseTensorValue)),
    (_RAGGED_VALUE, Kind("tensorflow.RaggedTensorValue", attributes("values", "row_splits"), _RAGGED_VALUE)),
    ((tf.Tensor, tf.Variable), stand_in(_array)),
]

KINDS = named(keras.MODEL, *[kind for cls, kind in _KINDS if cls is not None])


def find(value: typing.Any) -> typing.Optional[Kind]:
    found = next((kind for cls, kind in _KINDS if cls is not None and isinstance(value, cls)), None)
    return found or keras.find_model(value) or keras.find_container(value)
