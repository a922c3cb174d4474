"""The loss: its function, its reduction, and what regularisation adds."""

from __future__ import annotations

from typing import Iterator

import numpy as np

from tfkernels.diagnosis.finding import Evidence
from tfkernels.diagnosis.formulas.losses import Loss, data_term
from tfkernels.diagnosis.numbers import close, plain_number, power, ratio, relative
from tfkernels.diagnosis.rules.rule import Case, Rule
from tfkernels.diagnosis.sides import Arrays, Side

SAME = 2e-4


def _kinds(case: Case) -> tuple[list[Loss], list[Loss]]:
    return case.facts.losses(0), case.facts.losses(1)


def _different(case: Case) -> tuple[Loss, Loss] | None:
    """The losses of both, if no function explains both."""
    ours, theirs = ([loss for loss in each if _plain(case, loss)] for each in _kinds(case))
    if not ours or not theirs or {loss.kind for loss in ours} & {loss.kind for loss in theirs}:
        return None
    return ours[0], theirs[0]


def _function(case: Case) -> Evidence | None:
    pair = _different(case)
    if pair is None or pair[0].smoothing or pair[1].smoothing:
        return None
    if relative(*(np.asarray(data_term(side, 0)) for side in case.facts.both)) < SAME:
        return None  # each fits what its model gives
    x, y = pair
    words = f"the loss is the {x.kind} in {case.names[0]} and the {y.kind} in {case.names[1]}"
    if any("twice" in each.kind or "unscaled" in each.kind for each in pair):
        words += ": from_logits does not fit what the model gives"
    return Evidence(words, {"a": x._asdict(), "b": y._asdict()}, "loss", 1)


def _plain(case: Case, loss: Loss) -> bool:
    """Whether somebody would write this factor."""
    return loss.factor > 0 and (plain_number(loss.factor, 1e-4) is not None or bool(_meaning(case, loss.factor)))


def _smoothing(case: Case) -> Evidence | None:
    pair = _different(case)
    if pair is None or not (pair[0].smoothing or pair[1].smoothing):
        return None
    values = [each.smoothing for each in pair]
    words = f"label smoothing is {power(values[0])} in {case.names[0]} and {power(values[1])} in {case.names[1]}"
    return Evidence(words, {"a": values[0], "b": values[1]}, "loss", 1)


def _factors(case: Case) -> list[float]:
    """The loss of the second divided by that of the first, in each step in which the outputs agree."""
    found = []
    for step in range(case.step, case.facts.steps):
        x, y = data_term(case.a, step), data_term(case.b, step)
        if x and y is not None:
            found.append(y / x)
    return found


def _reduction(case: Case) -> Evidence | None:
    ours, theirs = _kinds(case)
    for x in ours:
        for y in theirs:
            if x.kind == y.kind and x.factor and y.factor and not close(x.factor, y.factor, SAME):
                meaning = _meaning(case, y.factor / x.factor)
                if meaning:
                    return _factor_evidence(case, y.factor / x.factor, meaning)
    if not case.found:
        return None
    factors = _factors(case)[:1]
    meaning = _meaning(case, factors[0]) if factors else ""
    return _factor_evidence(case, factors[0], meaning) if meaning else None


def _factor_evidence(case: Case, factor: float, meaning: str) -> Evidence:
    larger = case.names[1 if factor > 1 else 0]
    amount = factor if factor > 1 else 1 / factor
    return Evidence(
        f"the loss is larger by exactly the factor {power(amount)} in {larger}, {meaning}", {"factor": factor}, "loss"
    )


def _meaning(case: Case, factor: float) -> str:
    """What a factor between two losses stands for."""
    factor = max(factor, 1 / factor) if factor > 0 else 0.0
    if not factor or close(factor, 1.0, SAME):
        return ""
    counts = list(_counts(case.a, case.step))
    for count, what in counts:
        if count > 1 and close(factor, count, SAME):
            return f"{what}: sum against mean"
    for count, what in counts:
        if count > 1 and close(factor, 2 * count, SAME):
            return f"twice {what}: sum against mean, and a half (as tf.nn.l2_loss has)"
        if count > 2 and close(factor, count / 2, SAME):
            return f"half of {what}: sum against mean, and a half (as tf.nn.l2_loss has)"
    if close(factor, 2.0, SAME):
        return "a half in one of them, as tf.nn.l2_loss has"
    if close(factor, float(np.log2(np.e)), SAME) or close(factor, float(np.log(10)), SAME):
        return "a logarithm of another base"
    return _by_weights(case, factor)


def _counts(side: Side, step: int) -> Iterator[tuple[float, str]]:
    batch = float(side.batch_size)
    yield batch, "the batch size"
    targets = [array for name, array in side.arrays(step, "input").items() if name.startswith("target")]
    outputs = list(side.arrays(step, "output").values())[-1:]
    for array in (*outputs, *targets):
        if array.ndim > 1:
            yield float(array.shape[-1]), "the size of the last axis"
            yield float(array.size), "the number of elements"
            yield array.size / max(len(array), 1), "the number of elements of an example"
            yield float(np.prod(array.shape[:-1])), "the number of positions"
            yield float(np.prod(array.shape[1:-1])), "the number of steps or pixels"


def _by_weights(case: Case, factor: float) -> str:
    """Division by the number of examples against that of weights that are not zero, or their sum."""
    for name, array in case.a.arrays(case.step, "input").items():
        if "weight" in name or "mask" in name or name.startswith("target"):
            used = float(np.count_nonzero(array))
            if 0 < used < array.size and close(factor, array.size / used, SAME):
                return f"all elements of {name} against those that are not zero: masked ones count in the mean of one"
            total = float(np.sum(array))
            if "weight" in name and total > 0 and close(factor, max(array.size / total, total / array.size), SAME):
                return f"the number of examples against the sum of {name}: how a weighted mean is divided"
    return ""


def _regularization(case: Case, step: int) -> tuple[float, float] | None:
    """What is added to the data term on both sides; by the other's data term if one has only the sum."""
    x, y = case.a.arrays(step, "loss"), case.b.arrays(step, "loss")
    values = []
    for parts, other in ((x, y), (y, x)):
        total = parts.get("loss")
        if "regularization" in parts:
            values.append(float(np.sum(parts["regularization"])))
        elif total is not None and "data" in parts:
            values.append(float(total) - float(np.mean(parts["data"])) - _others(parts))
        elif total is not None and "data" in other and case.found:
            values.append(float(total) - float(np.mean(other["data"])))
        else:
            return None
    scale = max(abs(float(np.mean(each.get("loss", 0.0)))) for each in (x, y))
    small = 2e-6 * scale
    return tuple(0.0 if abs(v) < small else v for v in values)  # type: ignore[return-value]


def _others(parts: Arrays) -> float:
    known = ("loss", "data", "regularization")
    return sum(float(np.sum(value)) for name, value in parts.items() if name.split("/")[0] not in known)


def _lost(case: Case) -> Evidence | None:
    pair = _regularization(case, case.step)
    if pair is None or bool(pair[0]) == bool(pair[1]):
        return None
    which = 1 if pair[0] else 0
    value = pair[0] or pair[1]
    words = f"{case.names[which]} has no regularisation in its loss; it adds {power(value)} in {case.names[1 - which]}"
    return Evidence(
        words, {"a": pair[0], "b": pair[1], "strength": _strength(case, 1 - which, value)}, "regularization", 1
    )


def _strength(case: Case, which: int, value: float) -> str:
    found = next(_penalties(case, which, value), None)
    return "" if found is None else f"{power(found[1])} {found[0]}"


def _amount(case: Case) -> Evidence | None:
    pair = _regularization(case, case.step)
    if pair is None or not all(pair) or close(*pair, SAME):
        return None
    factor = pair[1] / pair[0]
    ours, theirs = (dict(_penalties(case, which, pair[which])) for which in (0, 1))
    for kind in ours:
        if kind in theirs and close(factor, theirs[kind] / ours[kind], SAME):
            half = ": tf.nn.l2_loss has a half, Keras's l2 has none" if close(max(factor, 1 / factor), 2, SAME) else ""
            if half or (plain_number(ours[kind]) and plain_number(theirs[kind])):
                words = f"regularisation is {power(factor)} times as large in {case.names[1]}{half}"
                return Evidence(words, {"factor": factor}, "regularization", 1)
    for one, strength in ours.items():
        for other, second in theirs.items():
            if one != other and plain_number(strength) and plain_number(second) and close(strength, second, SAME):
                words = (
                    f"regularisation is over {one} in {case.names[0]} and over {other} in {case.names[1]}, "
                    f"{power(strength)} in both"
                )
                return Evidence(words, {"strength": strength}, "regularization", 1)
    if plain_number(factor, SAME):
        words = f"regularisation is {power(factor)} times as large in {case.names[1]}"
        return Evidence(words, {"factor": factor}, "regularization", 1)
    words = (
        f"regularisation is {power(pair[0])} in {case.names[0]} and {power(pair[1])} "
        f"in {case.names[1]}: over other weights, or of another form"
    )
    return Evidence(words, {"a": pair[0], "b": pair[1]}, "regularization", 1)


def _penalties(case: Case, which: int, value: float) -> Iterator[tuple[str, float]]:
    """Sums over groups of weights, each with the strength that gives ``value``."""
    weights = case.facts.both[which].before(case.step)
    trained = [name for name in weights if name in case.facts.both[which].arrays(case.step, "gradient")] or list(
        weights
    )
    kernels = [n for n in trained if weights[n].ndim > 1]
    groups = {
        "kernels": kernels,
        "kernels and biases": trained,
        "the first kernel": kernels[:1],
        "all kernels but the last": kernels[:-1],
    }
    for group, names in groups.items():
        for kind, size in (("squares", 2), ("magnitudes", 1)):
            total = sum(float(np.sum(np.abs(weights[name]) ** size)) for name in names)
            if total:
                yield f"the {kind} of {group}", value / total


def _extra(case: Case) -> Evidence | None:
    x, y = (each.arrays(case.step, "loss") for each in (case.a, case.b))
    for name in [*x, *y]:
        if (name in x) != (name in y) and name.split("/")[0] not in ("data", "regularization", "loss"):
            which = 0 if name in x else 1
            words = f"only {case.names[which]} has the part {name} of the loss"
            return Evidence(words, {"value": float(np.sum((x if name in x else y)[name]))}, name)
    return None


def _in_total(case: Case) -> Evidence | None:
    """Squares of weights in losses that are not given by parts, as the gradients show."""
    sides = (case.a, case.b)
    if not case.found or any("loss" not in side.arrays(case.step, "loss") for side in sides):
        return None
    x, y = (float(np.mean(side.arrays(case.step, "loss")["loss"])) for side in sides)
    gradients, weights = [side.unclipped(case.step) for side in sides], case.a.before(case.step)
    found: dict[str, float] = {}
    for name, one in gradients[0].items():
        other, weight = gradients[1].get(name), weights.get(name)
        if other is None or weight is None or not one.shape == other.shape == weight.shape:
            return None
        if relative(one, other) > 1e-3:
            factor, error = ratio(weight, other - one)
            if error > 2e-2:
                return None
            found[name] = factor
    if not found or not all(close(each, max(found.values()), 2e-2) for each in found.values()):
        return None
    half = float(np.median(list(found.values()))) / 2
    if not close(half * sum(float(np.sum(np.square(weights[name]))) for name in found), y - x, 1e-2):
        return None
    more, less = (case.names[1], case.names[0]) if half > 0 else case.names
    listed = ", ".join(list(found)[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
    words = (
        f"the loss has {power(abs(half))} times the squares of {listed} more in {more}, as the gradients show: "
        f"{less} has no regularisation, or less (tf.nn.l2_loss has a half)"
    )
    return Evidence(words, {"strength": half, "weights": list(found)[:20]}, "loss")


def _plain_factor(case: Case) -> Evidence | None:
    """A constant factor in all steps that no count explains."""
    if not case.found:
        return None
    factors = _factors(case)
    number = plain_number(factors[0], SAME) if factors else None
    if number is None or close(number, 1.0, SAME):
        return None
    words = f"the loss is {power(number)} times as large in {case.names[1]}: a weight of the loss"
    return Evidence(words, {"factor": factors[0]}, "loss")


_CE = (
    "import numpy as np\nz, y = np.array([[2.0, 0.5, -1.0]]), np.array([[1.0, "
    "0.0, 0.0]])\np = np.exp(z) / np.exp(z).sum()\n"
)
_W = "import numpy as np\nw, b = np.arange(4.0).reshape(2, 2), np.ones(2)\n"

RULES = (
    Rule(
        "label-smoothing",
        "loss",
        "loss",
        "Label smoothing",
        "`label_smoothing` of `tf.losses` in graphs and of Keras's losses since 2.0.",
        _smoothing,
        (_CE + "x = -(y * np.log(p)).sum()", _CE + "y = y * 0.9 + 0.1 / 3\nx = -(y * np.log(p)).sum()"),
        by_itself=True,
    ),
    Rule(
        "loss-function",
        "loss",
        "loss",
        "Another loss, or logits taken for probabilities",
        "`from_logits` is False in Keras by default; `tf.nn` and `tf.losses` take logits.",
        _function,
        (
            _CE + "x = -(y * np.log(p)).sum()",
            _CE + "x = -(y * np.log(np.exp(p) / np.exp(p).sum())).sum()  # softmax applied twice",
        ),
        by_itself=True,
    ),
    Rule(
        "loss-reduction",
        "loss",
        "loss",
        "Sum against mean",
        (
            "`tf.nn` losses are by example, and users sum or average; Keras averages "
            "over the batch; `tf.losses` divide by the weights that are not zero."
        ),
        _reduction,
        ("import numpy as np\nx = np.arange(32.0).mean()", "import numpy as np\nx = np.arange(32.0).sum()"),
        by_itself=True,
    ),
    Rule(
        "regularization-in-total",
        "loss",
        "loss",
        "Regularisation in a loss that is not given by parts",
        "`tf.nn.l2_loss` in a loop with `tf.GradientTape` has a half, `tf.reduce_sum(w**2)` has none.",
        _in_total,
        (_W + "x = 1.0 + 1e-2 * (w**2).sum() / 2", _W + "x = 1.0 + 1e-2 * (w**2).sum()"),
    ),
    Rule(
        "loss-weight",
        "loss",
        "loss",
        "The loss has a weight",
        "`loss_weights` of `compile`; gradient scaling by hand.",
        _plain_factor,
        ("x = 1.25", "x = 1.25 * 0.4"),
    ),
    Rule(
        "regularization-lost",
        "loss",
        "regularization",
        "Regularisation is lost",
        "A graph must add `tf.losses.get_regularization_loss()`, a tape loop `model.losses`; `fit` does it by itself.",
        _lost,
        (_W + "x = 1.0 + 1e-2 * (w**2).sum()", _W + "x = 1.0"),
        by_itself=True,
    ),
    Rule(
        "regularization-amount",
        "loss",
        "regularization",
        "Regularisation has another strength or other weights",
        (
            "`tf.nn.l2_loss` and `tf.contrib.layers.l2_regularizer` have a half, Keras's "
            "`l2` has none; loops over all variables include biases."
        ),
        _amount,
        (_W + "x = 1e-2 * (w**2).sum() / 2  # tf.nn.l2_loss", _W + "x = 1e-2 * (w**2).sum()"),
        by_itself=True,
    ),
    Rule(
        "loss-part",
        "loss",
        "part",
        "A part of the loss is missing",
        "Auxiliary heads and `add_loss`.",
        _extra,
        ('x = {"main": 1.0, "auxiliary": 0.3}', 'x = {"main": 1.0}'),
    ),
)
