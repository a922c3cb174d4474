"""One seed for Python, NumPy and TensorFlow in all kernels of this process."""

from __future__ import annotations

import os
import random
import signal
from typing import Any

import numpy as np
import pytest

import tfkernels
from tests.support.waiting import eventually
from tfkernels.client.kernel import Kernel
from tfkernels.client.kernels_by_name import running
from tfkernels.errors import KernelDied, UsageError

DRAW = """
import random, numpy as np, tensorflow as tf
tensor = tf.random.uniform([3])
draws = [random.random(), float(np.random.rand())]
if tf.__version__ < "2":
    session = tf.Session()
    draws += session.run(tensor).tolist()
    layer = tf.keras.layers.Dense(3); layer.build((None, 3))
    session.run(tf.global_variables_initializer())
    draws += session.run(layer.kernel).ravel().tolist()
    tf.reset_default_graph()
else:
    layer = tf.keras.layers.Dense(3); layer.build((None, 3))
    draws += tensor.numpy().tolist() + layer.kernel.numpy().ravel().tolist()
    draws += np.ravel(tf.keras.layers.Dropout(0.5)(tf.ones((1, 64)), training=True)).tolist()
"""


@pytest.fixture(autouse=True)
def _as_before() -> Any:
    state, numpy_state = random.getstate(), np.random.get_state()
    yield
    random.setstate(state)
    np.random.set_state(numpy_state)


def drawn_here() -> list[float]:
    return [random.random(), float(np.random.rand())]  # noqa: S311 (what a seed is for)


def draws(kernel: Kernel) -> Any:
    kernel.run(DRAW)
    return kernel["draws"]


def test_seed_makes_all_kernels_repeatable(installed: object) -> None:
    kernels = [tfkernels.kernel(name) for name in ("tf1", "tf2")]
    for kernel in kernels:
        kernel.run("import tensorflow as tf; tf.compat.v1.reset_default_graph()")
    shown = repr(tfkernels.seed(7))
    first = [drawn_here(), *map(draws, kernels)]
    numpy_integer: Any = np.int64(7)
    tfkernels.seed(numpy_integer)
    assert [drawn_here(), *map(draws, kernels)] == first
    tfkernels.seed(8)
    other = [drawn_here(), *map(draws, kernels)]
    assert all(one != another for one, another in zip(first, other, strict=True))
    assert shown.splitlines() == [
        "seed 7 in this process: Python, NumPy",
        *(
            f"seed 7 in {kernel.name}: Python, NumPy, TensorFlow {kernel['tf.__version__']}"
            for kernel in running()
            if kernel.spec.ours
        ),
    ]
    assert first[1][:2] == first[2][:2] == first[0], "Python's and NumPy's generators draw the same everywhere"
    assert first[1][2:5] != first[2][2:5], "TensorFlow's do not: copy values, not seeds"


@pytest.mark.parametrize("number", [-1, 2**32, 1.5, "1", None])
def test_a_seed_that_not_all_take_seeds_nothing(number: Any) -> None:
    random.seed(1)
    with pytest.raises(UsageError, match="nothing was seeded"):
        tfkernels.seed(number)
    drawn = drawn_here()
    random.seed(1)
    assert drawn_here()[0] == drawn[0]


def test_an_ended_kernel_leaves_no_other_unseeded(installed: object) -> None:
    kernels = [tfkernels.kernel(name) for name in ("tf1", "tf2")]
    for kernel in kernels:
        kernel.start()
    ended, other = kernels
    assert ended.pid is not None
    os.kill(ended.pid, signal.SIGKILL)
    eventually(lambda: ended.state == "ended by itself")
    with pytest.raises(KernelDied):
        tfkernels.seed(3)
    first = other["__import__('random').random()"]
    random.seed(3)
    assert drawn_here()[0] == first
