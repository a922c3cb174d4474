"""Seeds for Python, NumPy and TensorFlow, here and in the kernels of this process."""

from __future__ import annotations

import importlib
import importlib.util
import operator
import os
import random
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfkernels.errors import TFKernelsError, UsageError

_LARGEST = 2**32 - 1  # NumPy's
_THERE = "__import__('tfkernels.models.seed', fromlist=['seed']).seed_here({})"  # binds no name in the kernel


@dataclass(frozen=True, repr=False)
class Seeded:
    """What was seeded: for ``""``, which is this process, and for each other kernel by name."""

    seed: int
    kernels: dict[str, str]

    def __repr__(self) -> str:
        return "\n".join(
            f"seed {self.seed} in {name or 'this process'}: {libraries}" for name, libraries in self.kernels.items()
        )


def seed(number: int) -> Seeded:
    """Seeds Python, NumPy and TensorFlow in this process and in the TensorFlow kernels it has started and that run.

    TensorFlow is imported for it in TensorFlow kernels only; elsewhere it is seeded if it is imported already.
    In graph mode the seed belongs to the default graph, and to the operations made *after* it.

    Equal seeds make a run repeatable within one release. They do **not** make two releases draw equal numbers: an
    operation without a seed of its own gets one from how many operations were made before, and Keras's initialisers
    draw in another way. Where both the global seed and the operation's are given, the old operations of
    ``tf.random`` do agree. To give two releases the same start, copy the weights (:func:`load_weights`), and draw
    random inputs once.

    Returns what was seeded. Raises ``UsageError`` if ``number`` is not a whole number from 0 to 2**32 - 1, before
    anything is seeded; errors of a kernel, after all others were seeded.
    """
    number = _checked(number)
    kernels = {"": seed_here(number)}
    failure: TFKernelsError | None = None
    for kernel in _running():
        try:
            kernels[kernel.name] = kernel[_THERE.format(number)]
        except TFKernelsError as error:  # a kernel that has ended is no reason to leave the next one unseeded
            failure = failure or error
    if failure is not None:
        raise failure
    return Seeded(number, kernels)


def seed_here(number: int) -> str:
    """Seeds this process alone, not the kernels it started; says what was seeded."""
    random.seed(number)
    np.random.seed(number)
    tensorflow = _tensorflow()
    if tensorflow is None:
        return "Python, NumPy"
    tensorflow.compat.v1.set_random_seed(number)
    if hasattr(tensorflow.keras.utils, "set_random_seed"):  # since 2.7; Keras 3 draws from a seed of its own too
        tensorflow.keras.utils.set_random_seed(number)
    return f"Python, NumPy, TensorFlow {tensorflow.__version__}"


def _tensorflow() -> Any:
    """TensorFlow, if this process uses it: it is imported, or this is one of its kernels, which will import it."""
    ours = bool(os.environ.get("TFKERNELS_KERNEL"))
    if "tensorflow" not in sys.modules and not (ours and importlib.util.find_spec("tensorflow")):
        return None
    return importlib.import_module("tensorflow")


def _checked(number: int) -> int:
    try:
        number = operator.index(number)
    except TypeError:
        number = -1
    if not 0 <= number <= _LARGEST:
        raise UsageError(f"a seed is a whole number from 0 to {_LARGEST}, as NumPy wants it; nothing was seeded")
    return number


def _running() -> list[Any]:
    if "tfkernels.client.kernel" not in sys.modules:  # nothing can have been started
        return []
    from tfkernels.client.kernel import running

    return [kernel for kernel in running() if kernel.owned and kernel.spec.ours]
