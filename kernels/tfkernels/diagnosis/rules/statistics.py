"""Moving statistics of batch normalisation, and moving averages of weights."""

from __future__ import annotations

from typing import Iterator

import numpy as np

from tfkernels.diagnosis.finding import Evidence
from tfkernels.diagnosis.formulas.averages import Moving, average_decay, moving_statistics
from tfkernels.diagnosis.numbers import Array, close, power, ratio, relative
from tfkernels.diagnosis.rules.rule import Case, Rule


def _changes(case: Case) -> Iterator[tuple[str, Array, Array]]:
    """How far each statistic moved in the first step, on both sides."""
    step = 0
    x, y = case.a.arrays(step, "statistic"), case.b.arrays(step, "statistic")
    before = [side.before(step) for side in case.facts.both]
    for name, array in x.items():
        if (
            name in y
            and name in before[0]
            and name in before[1]
            and (array.shape == y[name].shape == before[0][name].shape == before[1][name].shape)
        ):
            yield name, array - before[0][name], y[name] - before[1][name]


def _not_updated(case: Case) -> Evidence | None:
    for name, x, y in _changes(case):
        if np.any(x) != np.any(y):
            which = 1 if np.any(x) else 0
            words = (
                f"{case.names[which]} does not move {name}: UPDATE_OPS do not run, or the "
                "layer is frozen or in inference mode"
            )
            return Evidence(words, {"moved": [float(np.abs(x).max()), float(np.abs(y).max())]}, name, 1)
    names = [set(side.arrays(0, "statistic")) for side in case.facts.both]
    for which in (0, 1):
        lost = [
            name
            for name in case.facts.both[1 - which].arrays(0, "statistic")
            if name not in names[which] and name in case.facts.both[which].before(0)
        ]
        if lost and "statistic" in str(case.quantity) and case.found:
            return Evidence(f"{case.names[which]} has no moving statistic {lost[0]}", {}, lost[0], 1)
    return None


def _layers(case: Case) -> Iterator[tuple[str, Moving, Moving]]:
    """Layers with moving statistics whose inputs both traces show."""
    for name in case.a.arrays(0, "statistic"):
        if name.endswith("moving_mean"):
            variance = name[: -len("mean")] + "variance"
            x, y = (moving_statistics(side, 0, name, variance) for side in case.facts.both)
            if x is not None and y is not None:
                yield name, x, y


def _momentum(case: Case) -> Evidence | None:
    for name, x, y in _layers(case):
        if close(1 - x.momentum, 1 - y.momentum, 3e-3):
            continue
        words = (
            f"momentum of {name} is {power(x.momentum)} in {case.names[0]} and {power(y.momentum)} in {case.names[1]}"
        )
        if close(x.momentum, 1 - y.momentum, 3e-3):
            words += ": one counts the share of the old value, the other that of the new (PyTorch)"
        elif close(x.momentum, y.momentum**2, 1e-4) or close(y.momentum, x.momentum**2, 1e-4):
            words += ": the update runs twice"
        return Evidence(words, {"a": x.momentum, "b": y.momentum}, name, 1)
    if not case.found:
        return None
    factors = [(name, *ratio(x, y)) for name, x, y in _changes(case) if np.any(x) and np.any(y)]
    means = [each for each in factors if "variance" not in each[0]] or factors
    if not means or any(error > 5e-3 for _, _, error in means) or close(means[0][1], 1.0, 5e-3):
        return None
    name, factor, _ = means[0]
    words = f"{name} moves {power(factor)} times as far in {case.names[1]}: 1 - momentum differs by this factor"
    return Evidence(words, {"factor": factor}, name, 1)


def _correction(case: Case) -> Evidence | None:
    for name, x, y in _layers(case):
        if close(x.correction, y.correction, 5e-3) or not close(1 - x.momentum, 1 - y.momentum, 3e-3):
            continue
        n = x.values
        expected = n / (n - 1) if n > 1 else np.inf
        larger = 0 if x.correction > y.correction else 1
        quotient = max(x.correction, y.correction) / min(x.correction, y.correction)
        if close(quotient, expected, 2e-3):
            variance = name[: -len("mean")] + "variance"
            words = (
                f"moving variances differ by n / (n - 1), n = {n}: {case.names[larger]} divides by n - 1 (fused batch "
                f"normalisation), {case.names[1 - larger]} by n"
            )
            return Evidence(words, {"n": n, "factor": quotient}, variance, 1)
    if not case.found:
        return None
    return _without_inputs(case)


def _without_inputs(case: Case) -> Evidence | None:
    """Means move alike and variances do not: (1 - momentum) * variance of the batch has a factor."""
    changes = {name: (x, y) for name, x, y in _changes(case)}
    for each in case.found:
        if not each.name.endswith("variance"):
            return None
        mean = each.name[: -len("variance")] + "mean"
        if mean in changes and relative(*changes[mean]) > 5e-3:
            return None
    step = next(iter(case.found), None)
    if step is None or step.name not in changes:
        return None
    words = (
        f"{step.name} moves in another way while the mean moves alike: the batch's "
        "variance is computed in another way, such as n against n - 1"
    )
    return Evidence(words, {"relative": step.size}, step.name, 1)


def _averages(case: Case) -> Evidence | None:
    for step in range(case.facts.steps):
        for name in case.a.arrays(step, "average"):
            x, y = (average_decay(side, step, name) for side in case.facts.both)
            if x is None or y is None or max(x[1], y[1]) > 1e-2 or close(1 - x[0], 1 - y[0], 3e-3):
                continue
            if not step and case.facts.steps > 1 and min(abs(x[0]), abs(y[0])) < 1e-3:
                continue  # Keras 3 begins with the weights after the first step, and nobody can port that away
            words = (
                f"the moving average of {name} has decay {power(x[0])} in {case.names[0]} "
                f"and {power(y[0])} in {case.names[1]}"
            )
            for one in (x, y):
                if any(close(one[0], (1 + n) / (10 + n), 2e-3) for n in range(step + 3)):
                    words += ": one is (1 + n) / (10 + n), as with num_updates"
                    break
            return Evidence(words, {"a": x[0], "b": y[0]}, name, step + 1)
    return None


def _averages_missing(case: Case) -> Evidence | None:
    names = [case.a.arrays(0, "average"), case.b.arrays(0, "average")]
    if bool(names[0]) == bool(names[1]):
        return None
    which = 0 if names[0] else 1
    words = f"only {case.names[which]} keeps moving averages of its weights"
    return Evidence(words, {}, next(iter(names[which])), 1)


_B = "import numpy as np\nv, old = np.arange(8.0), 1.0\n"

RULES = (
    Rule(
        "statistics-not-updated",
        "statistic",
        "moved",
        "Moving statistics do not move",
        "`UPDATE_OPS` must be run by hand in graphs; a frozen layer does not move them since 2.0.",
        _not_updated,
        (_B + "x = 0.99 * old + 0.01 * v.var()", _B + "x = old"),
        by_itself=True,
        follows=("normalization-statistics",),
    ),
    Rule(
        "statistics-momentum",
        "statistic",
        "momentum",
        "Momentum of batch normalisation",
        "0.99 in Keras and `tf.layers`, 0.999 in `tf.contrib.layers`; PyTorch's 0.1 is the other share.",
        _momentum,
        (_B + "x = 0.99 * old + 0.01 * v.var()", _B + "x = 0.9 * old + 0.1 * v.var()"),
        by_itself=True,
    ),
    Rule(
        "variance-correction",
        "statistic",
        "correction",
        "Moving variance with n / (n - 1)",
        "Fused batch normalisation (images, up to Keras 2) divides by n - 1, the other ways by n.",
        _correction,
        (_B + "x = 0.99 * old + 0.01 * v.var()", _B + "x = 0.99 * old + 0.01 * v.var(ddof=1)"),
        by_itself=True,
    ),
    Rule(
        "average-decay",
        "statistic",
        "average",
        "Decay of moving averages of weights",
        "`ExponentialMovingAverage(decay, num_updates)` begins with a smaller decay.",
        _averages,
        (
            "w, old = 2.0, 1.0\nx = 0.999 * old + 0.001 * w",
            "w, old, n = 2.0, 1.0, 1\ndecay = min(0.999, (1 + n) / (10 + n))\nx = decay * old + (1 - decay) * w",
        ),
        by_itself=True,
    ),
    Rule(
        "averages-missing",
        "statistic",
        "average",
        "Moving averages are kept in one",
        "`ExponentialMovingAverage` in graphs, `use_ema` of Keras's optimizers since 2.11.",
        _averages_missing,
        ("x = [1.0, 0.999]", "x = [1.0]"),
        by_itself=True,
    ),
)
