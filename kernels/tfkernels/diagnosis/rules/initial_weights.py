"""Weights before the first step."""

from __future__ import annotations

import itertools
from typing import Iterator

import numpy as np

from tfkernels.diagnosis.differences import same_form
from tfkernels.diagnosis.finding import Evidence
from tfkernels.diagnosis.numbers import Array, power, relative
from tfkernels.diagnosis.rules.rearrangement import rearranged
from tfkernels.diagnosis.rules.rule import Case, Rule

SAME = 1e-5


def differing(case: Case) -> Iterator[tuple[str, Array, Array]]:
    """The weights that are not the same before the first step."""
    x, y = case.a.before(0), case.b.before(0)
    for name, array in x.items():
        other = y.get(name)
        if other is not None:
            array, other = same_form(array, other)
        if other is not None and array.shape == other.shape and relative(array, other) > SAME:
            yield name, array, other


def _gates(case: Case) -> Evidence | None:
    for name, x, y in differing(case):
        for gates in (4, 3):
            if x.shape[-1] % gates or x.shape[-1] < 2 * gates or x.ndim != 2:
                continue
            blocks = np.split(x, gates, axis=-1)
            for order in itertools.permutations(range(gates)):
                if order != tuple(range(gates)) and relative(np.concatenate([blocks[k] for k in order], -1), y) < SAME:
                    letters = ",".join(("ifco" if gates == 4 else "zrh")[k] for k in order)
                    keras = "i,f,c,o" if gates == 4 else "z,r,h"
                    words = (
                        f"gate order: {name} has its gates in Keras's order {keras} in {case.names[0]}, "
                        f"and in the order {letters} in {case.names[1]}"
                    )
                    return Evidence(words, {"order": list(order)}, name, 1)
    return None


def _rearranged(case: Case) -> Evidence | None:
    for name, x, y in differing(case):
        how = ""
        if x.ndim == 4 and relative(x[:, :, ::-1], y) < SAME:
            how = "with the channels of its inputs reversed"
        how = how or rearranged(x, y, rows=True, batch=False).replace("the examples", "its rows")
        if how:
            return Evidence(
                f"{name} has the same numbers before the first step, {how} in {case.names[1]}", {"order": how}, name, 1
            )
    return None


def _different(case: Case) -> Evidence | None:
    found = list(differing(case))
    if not found:
        return None
    name, x, y = found[0]
    far = relative(x, y)
    words = (
        f"the trainings do not start from the same weights: {len(found)} of {len(case.a.before(0))} differ, {name} by "
        f"{power(far)} of its size. Pass them with load_weights, or draw them with same_start"
    )
    figures = {"relative": far, "differ": len(found), "standard_deviations": [float(x.std()), float(y.std())]}
    return Evidence(words, figures, name, 1)


_KERNEL = "import numpy as np\nkernel = np.arange(16.0).reshape(2, 8)\n"

RULES = (
    Rule(
        "gate-order",
        "output",
        "weights",
        "Gates of a recurrent layer are in another order",
        "Keras has i, f, c, o; TensorFlow's cells have i, c, f, o; CuDNN and PyTorch order a GRU's gates r, z, h.",
        _gates,
        (
            _KERNEL + "x = kernel  # i, f, c, o",
            _KERNEL + "i, f, c, o = np.split(kernel, 4, axis=1)\nx = np.concatenate([i, c, f, o], axis=1)",
        ),
        by_itself=True,
    ),
    Rule(
        "weights-rearranged",
        "output",
        "weights",
        "Weights are transposed, reversed or permuted",
        "PyTorch's linear layers hold the transposed kernel; Theano's convolutions flip theirs.",
        _rearranged,
        (
            "import numpy as np\nx = np.arange(9.0).reshape(3, 3)",
            "import numpy as np\nx = np.arange(9.0).reshape(3, 3).T",
        ),
        by_itself=True,
    ),
    Rule(
        "initial-weights",
        "output",
        "weights",
        "Trainings start from other weights",
        "Initialisers and their seeds draw other numbers in each release.",
        _different,
        (
            "import numpy as np\nx = np.random.RandomState(1).normal(size=(3, 2))",
            "import numpy as np\nx = np.random.RandomState(2).normal(size=(3, 2))",
        ),
        by_itself=True,
    ),
)
