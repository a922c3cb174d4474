"""Outputs of layers whose settings no formula knows."""

from __future__ import annotations

import numpy as np

from tfkernels.diagnosis.finding import Evidence
from tfkernels.diagnosis.formulas.activations import related
from tfkernels.diagnosis.numbers import Array, plain_number, power, ratio, relative, rms
from tfkernels.diagnosis.rules.rearrangement import rearranged
from tfkernels.diagnosis.rules.rule import Case, Rule

SAME = 3e-5


def _first(case: Case) -> tuple[str, Array, Array] | None:
    first = case.first
    return None if first is None else (first.name, first.x, first.y)


def _rearranged(case: Case) -> Evidence | None:
    found = _first(case)
    how = rearranged(found[1], found[2]) if found else ""
    if not found or not how:
        return None
    return Evidence(
        f"layer {found[0]} has the same numbers in both, {how} in {case.names[1]}", {"order": how}, found[0]
    )


def _scaled(case: Case) -> Evidence | None:
    found = _first(case)
    if not found or found[1].shape != found[2].shape or found[1].size < 2:
        return None
    name, x, y = found
    factor, error = ratio(x, y)
    if error > SAME or not factor:
        return None
    words = f"layer {name} is {power(factor)} times as large in {case.names[1]}"
    for square in (factor**2, factor**-2):
        if square > 1.5 and abs(square - round(square)) < 1e-3 * square:
            words += f": the root of {round(square)}, as in the scale of an attention or an embedding"
            break
    return Evidence(words, {"factor": factor}, name)


def _activation(case: Case) -> Evidence | None:
    found = _first(case)
    if not found or found[1].shape != found[2].shape:
        return None
    name, x, y = found
    pair = related(x, y)
    swapped = None if pair else related(y, x)
    if swapped:
        pair = swapped[1], swapped[0]
    if not pair:
        return None
    words = f"layer {name}: the activation is {pair[0]} in {case.names[0]} and {pair[1]} in {case.names[1]}"
    return Evidence(words, {"a": pair[0], "b": pair[1]}, name)


def _shifted(case: Case) -> Evidence | None:
    found = _first(case)
    if not found or found[1].shape != found[2].shape or found[1].ndim < 3:
        return None
    name, x, y = found
    axes = (1, 2) if x.ndim > 3 else (1,)
    for rows in (0, 1, -1):
        for columns in (0, 1, -1) if x.ndim > 3 else (0,):
            if not rows and not columns:
                continue
            moved = np.roll(x, (rows, columns)[: len(axes)], axes)
            inner = (slice(None), *[slice(1, -1)] * len(axes))
            one, two = moved[inner], y[inner]
            if one.size > 2 and np.ptp(two) and relative(one, two) < SAME:
                words = (
                    f"layer {name}: equal by itself after shifting by one {'pixel' if x.ndim > 3 else 'step'}: padding"
                )
                return Evidence(words, {"shift": [rows, columns]}, name)
    return None


def _edges(case: Case) -> Evidence | None:
    found = _first(case)
    if not found or found[1].shape != found[2].shape or found[1].ndim != 4 or min(found[1].shape[1:3]) < 4:
        return None
    name, x, y = found
    for width in (1, 2, 3):
        if min(x.shape[1:3]) > 2 * width + 1:
            inner = (slice(None), slice(width, -width), slice(width, -width))
            if np.ptp(x[inner]) and relative(x[inner], y[inner]) < SAME:
                words = f"layer {name}: equal by itself but for {width} pixels at the edges: padding"
                return Evidence(words, {"pixels": width}, name)
    return None


def _masked(case: Case) -> Evidence | None:
    found = _first(case)
    if not found or found[1].shape != found[2].shape or found[1].ndim < 2:
        return None
    name, x, y = found
    padded = _padded_examples(case, x)
    if padded is None:
        return None
    if relative(x[~padded], y[~padded]) > SAME or not rms(x[~padded]):
        return None
    words = f"layer {name} differs only in the {int(padded.sum())} examples with padding: a mask is ignored in one"
    return Evidence(words, {"examples": int(padded.sum())}, name)


def _padded_examples(case: Case, x: Array) -> Array | None:
    """The examples whose input ends or begins with zeros, if there are others as well."""
    for name, array in case.a.arrays(case.step, "input").items():
        if name.startswith("target") or array.ndim < 2 or len(array) != len(x):
            continue
        flat = array.reshape(*array.shape[:2], -1)
        empty = ~np.any(flat, axis=-1)
        padded = empty[:, 0] | empty[:, -1]
        if padded.any() and not padded.all():
            return padded
    return None


def _left_out(case: Case) -> Evidence | None:
    found = _first(case)
    if not found or found[1].shape != found[2].shape:
        return None
    name, x, y = found
    for earlier, array in {**case.a.arrays(case.step, "input"), **case.a.arrays(case.step, "output")}.items():
        if array.shape != x.shape or earlier == name:
            continue
        for one, other, which in ((x, y, 1), (y, x, 0)):
            if np.any(array) and relative(one - array, other) < SAME:
                words = f"layer {name}: {case.names[which]} does not add {earlier}: a skip connection is missing"
                return Evidence(words, {"missing": earlier}, name)
    return None


def _offset(case: Case) -> Evidence | None:
    found = _first(case)
    if not found or found[1].shape != found[2].shape or found[1].ndim < 2:
        return None
    name, x, y = found
    shift = (y - x).reshape(-1, x.shape[-1])
    mean = shift.mean(axis=0)
    if len(shift) < 2 or not rms(mean) or rms(shift - mean) > 1e-4 * rms(mean):
        return None
    bias = next((each for each in case.a.before(case.step) if each == f"{name}/bias"), None)
    words = (
        f"layer {name} has a constant added to each channel in one of the two: a "
        "bias that the other lacks or that differs"
    )
    return Evidence(words, {"constants": [float(v) for v in mean[:4]], "bias": bias}, name)


def _precision(case: Case) -> Evidence | None:
    found = _first(case)
    if not found or found[1].shape != found[2].shape:
        return None
    name, x, y = found
    far = relative(x, y)
    for kind, bits in (("float16", 11), ("bfloat16", 8)):
        for one, which in ((x, 0), (y, 1)):
            kept = one[(one != 0) & (np.abs(one) > 1e-4)]
            digits = np.frexp(kept)[0] * 2.0**bits
            if kept.size > 8 and np.array_equal(digits, np.round(digits)) and far < 8 * 2.0**-bits:
                words = f"layer {name} computes in {kind} in {case.names[which]}: all numbers have {bits} bits"
                return Evidence(words, {"bits": bits, "relative": far}, name)
    return None


def _normalized(case: Case) -> Evidence | None:
    """A factor and an offset for each channel: a normalisation with other statistics or another epsilon."""
    found = _first(case)
    if not found or found[1].shape != found[2].shape or found[1].ndim < 2:
        return None
    name, x, y = found
    one, two = x.reshape(-1, x.shape[-1]), y.reshape(-1, x.shape[-1])
    if len(one) < 4 or (f"{name}/gamma" not in case.a.before(0) and f"{name}/moving_mean" not in case.a.before(0)):
        return None
    spread = one.std(axis=0)
    factors = two.std(axis=0) / np.where(spread, spread, 1.0)
    fitted = (one - one.mean(axis=0)) * factors + two.mean(axis=0)
    if relative(fitted, two) > SAME:
        return None
    words = (
        f"layer {name}: each channel differs by a factor ({power(factors.min())} to {power(factors.max())}) and an "
        "offset: "
        "the normalisation has other statistics (training flag) or another epsilon"
    )
    return Evidence(words, {"factors": [float(factors.min()), float(factors.max())]}, name)


def _simple(factor: float) -> bool:
    return plain_number(factor) is not None


_X = "import numpy as np\nx = np.arange(16.0).reshape(1, 4, 4, 1)\n"
_TF = "import numpy as np\nimport tensorflow as tf\n"

RULES = (
    Rule(
        "precision",
        "output",
        "layer",
        "A layer computes in a lower precision",
        "Mixed precision, or `float16` variables.",
        _precision,
        (
            _TF + 'x = tf.constant(np.linspace(0, 1, 9), "float32") / 3.0',
            _TF + 'x = tf.cast(tf.constant(np.linspace(0, 1, 9), "float16") / 3.0, "float32")',
        ),
    ),
    Rule(
        "output-rearranged",
        "output",
        "layer",
        "A layer's output is reversed, transposed or permuted",
        "A flattened image has another order with channels first; a recurrent layer may run backwards.",
        _rearranged,
        (_X + "x = x.transpose(0, 3, 1, 2)", _X + "x = x.transpose(0, 3, 2, 1)"),
    ),
    Rule(
        "output-scaled",
        "output",
        "layer",
        "A layer's output is scaled",
        "The scale of an attention's scores; `use_scale`; embeddings times the root of their size.",
        _scaled,
        (_X, _X + "x = x / np.sqrt(8.0)"),
    ),
    Rule(
        "activation-of-output",
        "output",
        "layer",
        "Activation of a layer with unknown inputs",
        "`tf.contrib.layers` have relu by default, Keras's layers none.",
        _activation,
        (
            "import numpy as np\nx = np.linspace(-1, 1, 9)",
            "import numpy as np\nx = np.maximum(np.linspace(-1, 1, 9), 0)",
        ),
    ),
    Rule(
        "shifted-by-a-pixel",
        "output",
        "layer",
        "A layer's output is shifted by a pixel",
        "`same` padding with a stride; `align_corners` and half-pixel centres of a resize.",
        _shifted,
        (_X, _X + "x = np.roll(x, 1, axis=1)"),
    ),
    Rule(
        "edges",
        "output",
        "layer",
        "Only the edges of an image differ",
        "Zero against reflected padding; average pooling that counts the padding.",
        _edges,
        (
            _X + 'x = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], "constant")',
            _X + 'x = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], "reflect")',
        ),
    ),
    Rule(
        "mask-ignored",
        "output",
        "layer",
        "A mask is ignored",
        "`mask_zero` reaches the layers in Keras; `sequence_length` is given to `dynamic_rnn`.",
        _masked,
        (
            "import numpy as np\nx = np.array([[1.0, 2, 0], [3, 4, 5]]).sum(1) / np.array([2, 3])",
            "import numpy as np\nx = np.array([[1.0, 2, 0], [3, 4, 5]]).mean(1)",
        ),
    ),
    Rule(
        "skip-connection",
        "output",
        "layer",
        "A skip connection is missing",
        "A model that was written again.",
        _left_out,
        (_X + "x = x * 0.5 + x", _X + "x = x * 0.5"),
    ),
    Rule(
        "bias",
        "output",
        "layer",
        "A bias is missing or differs",
        "`tf.contrib.layers` leave it out with a normaliser; Keras does not.",
        _offset,
        (
            "import numpy as np\nx = np.arange(6.0).reshape(3, 2) + [0.5, 1.0]",
            "import numpy as np\nx = np.arange(6.0).reshape(3, 2)",
        ),
    ),
    Rule(
        "normalization-of-output",
        "output",
        "layer",
        "A normalisation with unknown inputs",
        "Training flags and epsilons, as above.",
        _normalized,
        (
            "import numpy as np\nv = np.arange(4.0)\nx = (v - v.mean()) / np.sqrt(v.var() + 1e-3)",
            "import numpy as np\nv = np.arange(4.0)\nx = v / np.sqrt(1 + 1e-3)",
        ),
    ),
)
