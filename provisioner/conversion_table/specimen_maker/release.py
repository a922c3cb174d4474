"""The TensorFlow of this process, and the data that all specimens are trained and compared with."""

from typing import Any, Tuple

import numpy as np
import tensorflow as tf

keras = tf.keras
VERSION: Tuple[int, ...] = tuple(int(part) for part in tf.__version__.split(".")[:2])
v1 = tf if VERSION < (1, 13) else tf.compat.v1


def data(*shape: int, seed: int = 0) -> Any:
    return np.random.RandomState(seed).uniform(-1, 1, shape).astype("float32")


def words(*shape: int, seed: int = 0) -> Any:
    return np.random.RandomState(seed).randint(0, 20, shape).astype("int32")
