"""Dropout masks and noise of a Keras model that runs eagerly or in a ``tf.function``: its layers get numbers of ours.

A layer's ``call`` is replaced on the object. While it runs, the numbers that TensorFlow draws are replaced.
"""

import functools
import inspect
import sys
from typing import Any, Dict, Iterator, List, Tuple

from tfkernels.initialization import mask_numbers
from tfkernels.models.layer_names import is_a, walk
from tfkernels.training.random_draws import EAGER_MASK_COUNTS, NORMAL, draws_pass

_CLASSES = (
    *("Dropout", "AlphaDropout", "GaussianNoise", "GaussianDropout"),
    *("LSTM", "GRU", "SimpleRNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"),
)


def replace(model: Any, seed: int) -> List[str]:
    """Replaces the random numbers of layers that drop something. Returns their names."""
    ours = list(dropping(model))
    for path, layer in ours:
        layer.call = _call(layer, path, seed)
    return [path for path, _ in ours]


def dropping(model: Any) -> Iterator[Tuple[str, Any]]:
    """Layers that drop something or add noise, each path once: a cell has that of its layer."""
    seen = set()
    for path, layer in walk(model):
        rates = [getattr(layer, name, 0) for name in ("rate", "dropout", "recurrent_dropout", "stddev")]
        drops = any(isinstance(rate, (int, float)) and rate > 0 for rate in rates)
        if drops and path not in seen and any(is_a(layer, name) for name in _CLASSES):
            yield path, layer
        seen.add(path)


def _call(layer: Any, path: str, seed: int) -> Any:
    original = getattr(layer.call, "original_call", layer.call)
    steps: Dict[int, Any] = {}

    def step(number: int) -> Any:
        """How often this draw was made before, counted by a variable that no graph owns."""
        tensorflow: Any = sys.modules["tensorflow"]
        if number not in steps:
            with tensorflow.init_scope():
                steps[number] = tensorflow.Variable(0, dtype=tensorflow.int64, trainable=False)
            EAGER_MASK_COUNTS[id(steps[number])] = steps[number]
        return steps[number].assign_add(1) - 1

    step(0)  # variables are made before a function is translated
    steps[0].assign(0)

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        drawn: List[int] = []

        def through(numbers: Any, kind: str) -> Any:
            tensorflow: Any = sys.modules["tensorflow"]
            drawn.append(len(drawn))
            source = mask_numbers.stream_of(seed, path, drawn[-1])
            make = mask_numbers.normal_tensor if kind == NORMAL else mask_numbers.tensor
            ours = make(tensorflow.shape(numbers), source, step(drawn[-1]))
            return tensorflow.cast(tensorflow.reshape(ours, tensorflow.shape(numbers)), numbers.dtype)

        with draws_pass(through):
            return original(*args, **kwargs)

    call.__signature__ = inspect.signature(original)  # type: ignore[attr-defined] # Keras asks what it takes
    not_converted = sys.modules["tensorflow"].autograph.experimental.do_not_convert(call)
    not_converted.original_call = original
    not_converted.__signature__ = inspect.signature(original)
    return not_converted
