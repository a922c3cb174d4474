"""Seeds for Python, NumPy and TensorFlow, here and in the kernels of this process."""

from __future__ import annotations

import importlib
import importlib.util
import operator
import os
import random
import sys
from dataclasses import dataclass
from typing import Any, Mapping

import numpy as np

from tfkernels.errors import TFKernelsError, UsageError

_LARGEST = 2**32 - 1  # NumPy's
_THERE = "__import__('tfkernels.models.seed', fromlist=['seed_here']).seed_here({})"  # binds no name in the kernel


@dataclass(frozen=True, repr=False)
class Seeded:
    """What was seeded: for ``""``, which is this process, and for each other kernel by name."""

    seed: int
    kernels: dict[str, str]

    def __repr__(self) -> str:
        return "\n".join(
            f"seed {self.seed} in {name or 'this process'}: {libraries}" for name, libraries in self.kernels.items()
        )


def seed_all(number: int, kernels: Mapping[str, Any]) -> Seeded:
    """Seeds this process, then ``kernels``: objects by name that evaluate code there, ``kernel[code]``.

    Raises ``UsageError`` before anything is seeded; the first error of a kernel after all others were seeded.
    """
    number = _checked(number)
    seeded = {"": seed_here(number)}
    failure: TFKernelsError | None = None
    for name, kernel in kernels.items():
        try:
            seeded[name] = kernel[_THERE.format(number)]
        except TFKernelsError as error:  # a kernel that has ended is no reason to leave the next one unseeded
            failure = failure or error
    if failure is not None:
        raise failure
    return Seeded(number, seeded)


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
