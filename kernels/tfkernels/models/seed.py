"""Seeds for Python, NumPy and TensorFlow, in this process and in other kernels."""

import importlib
import importlib.util
import operator
import os
import random
import sys
from typing import Any, Dict, Mapping, NamedTuple, Optional

import numpy as np

from tfkernels.errors import TFKernelsError, UsageError
from tfkernels.imports import own_imports
from tfkernels.models.tensorflow_api import v1

_LARGEST = 2**32 - 1  # NumPy's
_IN_KERNEL = "__import__('tfkernels.models.seed', fromlist=['seed_here']).seed_here({})"  # binds no name there


class Seeded(NamedTuple):
    """What was seeded: for ``""``, which is this process, and for each other kernel by name."""

    seed: int
    kernels: Dict[str, str]

    def __repr__(self) -> str:
        return "\n".join(
            f"seed {self.seed} in {name or 'this process'}: {libraries}" for name, libraries in self.kernels.items()
        )


def seed_all(number: int, kernels: Mapping[str, Any]) -> Seeded:
    """Seeds this process, then ``kernels``: objects by name that evaluate code there, ``kernel[code]``.

    Raises ``UsageError`` before anything is seeded; the first error of a kernel after all others were seeded.
    """
    try:
        number = operator.index(number)
    except TypeError:
        number = -1
    if not 0 <= number <= _LARGEST:
        raise UsageError(f"seed() needs a whole number from 0 to {_LARGEST}; nothing was seeded")
    seeded = {"": seed_here(number)}
    failure: Optional[TFKernelsError] = None
    for name, kernel in kernels.items():
        try:
            seeded[name] = kernel[_IN_KERNEL.format(number)]
        except TFKernelsError as error:  # a kernel that has ended is no reason to leave the next one unseeded
            failure = failure or error
    if failure is not None:
        raise failure
    return Seeded(number, seeded)


def seed_here(number: int) -> str:
    """Seeds this process alone; returns what was seeded.

    TensorFlow is, if it is imported, or if this process is one of its kernels, which will import it.
    """
    random.seed(number)
    np.random.seed(number)
    ours = bool(os.environ.get("TFKERNELS_KERNEL"))
    with own_imports():
        if "tensorflow" not in sys.modules and not (ours and importlib.util.find_spec("tensorflow")):
            return "Python, NumPy"
        tensorflow = importlib.import_module("tensorflow")
    v1().set_random_seed(number)
    symbolic = getattr(getattr(sys.modules.get("keras"), "backend", None), "symbolic", None)
    if symbolic is not None:  # Keras 2.3, whose graph in TensorFlow 2 is its own
        symbolic(v1().set_random_seed)(number)
    # Each Keras may draw from a seed of its own, and tf.keras is one of these that is imported later.
    for keras in (getattr(tensorflow, "keras", None), *map(sys.modules.get, ("keras", "tf_keras"))):
        set_seed = getattr(getattr(keras, "utils", None), "set_random_seed", None)  # since 2.7
        if set_seed is not None:
            set_seed(number)
    return f"Python, NumPy, TensorFlow {tensorflow.__version__}"
