"""Inputs and targets as they reach the model."""

from __future__ import annotations

import numpy as np

from tfkernels.diagnosis.finding import Evidence
from tfkernels.diagnosis.numbers import Array, plain_number, power, relative
from tfkernels.diagnosis.rules.rearrangement import as_array, rearranged
from tfkernels.diagnosis.rules.rule import Case, Rule

SAME = 1e-5


def _inputs(case: Case) -> list[tuple[str, Array, Array]]:
    return [(each.name, each.x, each.y) for each in case.found if not each.name.startswith("target")]


def _targets(case: Case) -> list[tuple[str, Array, Array]]:
    return [(each.name, each.x, each.y) for each in case.found if each.name.startswith("target")]


def _scaled(case: Case) -> Evidence | None:
    for name, x, y in _inputs(case):
        if x.shape != y.shape or x.size < 3 or not np.ptp(x):
            continue
        factor, offset = np.polyfit(x.ravel(), y.ravel(), 1)
        if not factor or relative(factor * x + offset, y) > SAME:
            continue
        shift = "" if abs(offset) < 1e-5 * np.abs(y).max() else f" and shifted by {power(offset)}"
        amount = f"1/{power(1 / factor)}" if factor < 1 and plain_number(1 / factor, 1e-4) is None else power(factor)
        if abs(factor) < 1:
            amount = f"1/{power(1 / factor)}"
        words = f"{name} is scaled by {amount}{shift} in {case.names[1]}: the inputs are prepared in two ways"
        return Evidence(words, {"factor": factor, "offset": offset}, name)
    return None


def _rearranged(case: Case) -> Evidence | None:
    for name, x, y in _inputs(case):
        how = rearranged(x, y, rows=True)
        if how:
            return Evidence(f"{name} has the same numbers in both, {how} in {case.names[1]}", {"order": how}, name)
    return None


def _reordered_examples(case: Case) -> Evidence | None:
    if len(case.found) < 1:
        return None
    order = None
    for each in case.all:
        x, y = each.x, each.y
        if x.shape != y.shape or not x.ndim or len(x) < 2:
            return None
        if order is None and not each.name.startswith("target"):
            found = rearranged(x, y, rows=True)
            order = as_array(x, y) if found == "with the examples in another order" else None
            if order is None:
                return None
    if order is None:
        return None
    name = case.found[0].name
    words = f"{case.names[1]} gets the same examples in another order: it is shuffled, or read in another order"
    return Evidence(words, {"first_places": order[:8].tolist()}, name)


def _other_batch(case: Case) -> Evidence | None:
    """Examples of another step: the batches come in another order."""
    for name, _, y in _inputs(case):
        for step in range(case.facts.steps):
            other = case.a.arrays(step, "input").get(name)
            if step != case.step and other is not None and other.shape == y.shape and relative(other, y) < SAME:
                words = f"step {case.step + 1} of {case.names[1]} gets the batch of step {step + 1} in {case.names[0]}"
                return Evidence(words, {"batch_of_step": step + 1}, name)
    return None


def _shifted(case: Case) -> Evidence | None:
    for name, x, y in _inputs(case):
        if x.ndim < 2 or x.shape != y.shape:
            continue
        for axis in range(1, min(x.ndim, 3)):
            for shift in (1, -1, 2, -2):
                inner = [slice(None)] * x.ndim
                inner[axis] = slice(2, -2) if x.shape[axis] > 5 else slice(1, -1)
                one, two = np.roll(x, shift, axis)[tuple(inner)], y[tuple(inner)]
                if one.size and np.ptp(two) and relative(one, two) < SAME:
                    words = f"{name} is shifted by {shift} along axis {axis} in {case.names[1]}"
                    return Evidence(words, {"shift": shift, "axis": axis}, name)
    return None


def _precision(case: Case) -> Evidence | None:
    for name, x, y in _inputs(case):
        if x.shape == y.shape and relative(x, y) < 5e-3:
            for kind, bits in (("float16", 11), ("bfloat16", 8)):
                unit = 2.0**-bits
                step = np.abs(x - y) / np.maximum(np.maximum(np.abs(x), np.abs(y)), 1e-30)
                if step.max() <= unit * 1.01 and step.max() > unit / 4:
                    words = f"{name} is rounded to {kind} on one side: largest relative difference {power(step.max())}"
                    return Evidence(words, {"largest_relative": float(step.max()), "dtype": kind}, name)
    return None


def _labels(case: Case) -> Evidence | None:
    for name, x, y in _targets(case):
        if x.shape != y.shape:
            continue
        shift = y - x
        if np.ptp(x) and shift.size and not np.ptp(shift) and shift.flat[0]:
            words = (
                f"{name} is larger by {power(shift.flat[0])} in every example of {case.names[1]}: "
                "labels count from another number"
            )
            return Evidence(words, {"shift": float(shift.flat[0])}, name)
        renamed = sorted(set(zip(x.ravel().tolist(), y.ravel().tolist())))
        whole = np.array_equal(x, np.round(x)) and np.array_equal(y, np.round(y))
        if whole and len(renamed) == len(np.unique(x)) == len(np.unique(y)) and x.size >= 2 * len(renamed) > 2:
            listed = ", ".join(f"{one:g} is {other:g}" for one, other in renamed[:4])
            words = f"{name}: classes have other numbers in {case.names[1]}: {listed}"
            return Evidence(words, {"classes": renamed[:20]}, name)
        if x.ndim > 1 and x.shape[-1] > 1:
            for by in (1, -1):
                if np.array_equal(np.roll(x, by, axis=-1), y):
                    return Evidence(f"{name}: classes are shifted by {by} in {case.names[1]}", {"shift": by}, name)
    return None


def _smoothed(case: Case) -> Evidence | None:
    for name, x, y in _targets(case):
        if x.shape != y.shape or x.ndim < 2 or x.shape[-1] < 2:
            continue
        for one, other, which in ((x, y, 1), (y, x, 0)):
            if set(np.unique(one)) <= {0.0, 1.0}:
                classes = one.shape[-1]
                smoothing = float(np.median(other[one == 0])) * classes
                if smoothing > 1e-3 and relative(one * (1 - smoothing) + smoothing / classes, other) < 1e-4:
                    words = f"{name} has label smoothing of {power(smoothing)} in {case.names[which]} only"
                    return Evidence(words, {"smoothing": smoothing}, name)
    return None


def _scaled_targets(case: Case) -> Evidence | None:
    for name, x, y in _targets(case):
        if x.shape == y.shape and x.size > 2 and np.ptp(x):
            factor, offset = np.polyfit(x.ravel(), y.ravel(), 1)
            if factor and relative(factor * x + offset, y) < SAME:
                words = f"{name} is {power(factor)} times as large, plus {power(offset)}, in {case.names[1]}"
                return Evidence(words, {"factor": factor, "offset": offset}, name)
    return None


_LOAD = "import numpy as np\nimages = np.arange(48).reshape(1, 4, 4, 3) * 5.0\n"

RULES = (
    Rule(
        "inputs-scaled",
        "input",
        "input",
        "Inputs are scaled or shifted",
        "Examples of TensorFlow 1 divide by 255; `keras.applications` have three ways, one of which is -1 to 1.",
        _scaled,
        (_LOAD + "x = images / 255.0", _LOAD + "x = images / 127.5 - 1.0"),
    ),
    Rule(
        "batches-in-another-order",
        "input",
        "input",
        "Batches come in another order",
        "`fit` shuffles unless `shuffle=False`; a loop over `feeds` does not.",
        _other_batch,
        (
            "import numpy as np\ndata = np.arange(12.0).reshape(6, 2)\nx = [data[0:2], data[2:4], data[4:6]]",
            "import numpy as np\ndata = np.arange(12.0).reshape(6, 2)\nx = [data[2:4], data[0:2], data[4:6]]",
        ),
    ),
    Rule(
        "examples-in-another-order",
        "input",
        "input",
        "Examples of a batch are in another order",
        "`tf.data`'s `shuffle` and `fit` draw from seeds that differ between releases.",
        _reordered_examples,
        (
            "import numpy as np\nx = np.arange(12.0).reshape(6, 2)",
            "import numpy as np\nx = np.arange(12.0).reshape(6, 2)[[3, 1, 0, 5, 4, 2]]",
        ),
    ),
    Rule(
        "inputs-rearranged",
        "input",
        "input",
        "Channels reversed, axes exchanged, or flipped",
        "OpenCV reads BGR and PIL reads RGB; `data_format` channels first or last.",
        _rearranged,
        (_LOAD + "x = images", _LOAD + "x = images[..., ::-1]  # BGR, as OpenCV reads"),
    ),
    Rule(
        "inputs-shifted",
        "input",
        "input",
        "Inputs are shifted by a place",
        "`pad_sequences` pads before the text by default; `tf.contrib` pads after it.",
        _shifted,
        (
            "import numpy as np\nx = np.pad(np.arange(1.0, 9.0), (2, 4))[None]",
            "import numpy as np\nx = np.pad(np.arange(1.0, 9.0), (3, 3))[None]",
        ),
    ),
    Rule(
        "inputs-rounded",
        "input",
        "input",
        "Inputs have a lower precision",
        "`float16` files, or a mixed-precision policy.",
        _precision,
        (
            'import numpy as np\nx = np.linspace(0, 1, 8).astype("float32")',
            'import numpy as np\nx = np.linspace(0, 1, 8).astype("float16").astype("float32")',
        ),
    ),
    Rule(
        "labels-shifted",
        "input",
        "target",
        "Labels count from another number",
        "A background class 0 in TensorFlow's Slim models (1001 classes), none in Keras's.",
        _labels,
        ("import numpy as np\nx = np.array([0, 1, 2, 1])", "import numpy as np\nx = np.array([0, 1, 2, 1]) + 1"),
    ),
    Rule(
        "targets-smoothed",
        "input",
        "target",
        "Label smoothing of the targets",
        "`tf.losses.softmax_cross_entropy(label_smoothing=)`; by hand elsewhere.",
        _smoothed,
        (
            "import numpy as np\nx = np.eye(3)[[0, 1, 2]]",
            "import numpy as np\nx = np.eye(3)[[0, 1, 2]] * 0.9 + 0.1 / 3",
        ),
    ),
    Rule(
        "targets-scaled",
        "input",
        "target",
        "Targets are scaled or shifted",
        "Normalised targets of a regression.",
        _scaled_targets,
        (
            "import numpy as np\nx = np.array([1.0, 2.0, 5.0])",
            "import numpy as np\nx = np.array([1.0, 2.0, 5.0]) / 10.0",
        ),
    ),
)
