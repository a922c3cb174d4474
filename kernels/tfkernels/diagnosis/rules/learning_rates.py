"""Learning rates, as a step applies them."""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np

from tfkernels.diagnosis.finding import Evidence
from tfkernels.diagnosis.formulas.slots import FITS
from tfkernels.diagnosis.numbers import close, plain_number, power
from tfkernels.diagnosis.rules.rule import Case, Rule

SAME = 2e-4


def _applied(case: Case) -> tuple[list[float], list[float]] | None:
    """The rates of both, with bias corrections, for the weight with the clearest updates; ``None`` if unknown."""
    fits = [case.facts.fit(which) for which in (0, 1)]
    if not all(fit.formulas for fit in fits) or fits[0].kind != fits[1].kind:
        return None
    x, y = case.facts.rates(0), case.facts.rates(1)
    found: tuple[list[float], list[float]] = ([], [])
    for ours, theirs in zip(x, y):
        shared = [name for name in ours if name in theirs]
        ratios = [theirs[name] / ours[name] for name in shared if ours[name]]
        if not ratios:
            found[0].append(np.nan)
            found[1].append(np.nan)
            continue
        usual = float(np.median(ratios))
        name = min(shared, key=lambda each: abs(theirs[each] / ours[each] - usual) if ours[each] else np.inf)
        found[0].append(ours[name])
        found[1].append(theirs[name])
    return found if np.isfinite(found[0]).any() else None


def _normalized(case: Case, applied: tuple[list[float], list[float]]) -> tuple[list[float], list[float]]:
    """Without Adam's bias corrections, if the decays of its moments differ."""
    if "adam" not in case.facts.fit(0).kind:
        return applied
    decays = [[case.facts.decay(which, slot) for slot in ("m", "v")] for which in (0, 1)]
    corrections = []
    for each in decays:
        if each[0] is None or each[1] is None or max(each[0].error, each[1].error) > FITS:
            return applied
        corrections.append(correction(each[0].beta, each[1].beta, len(applied[0])))
    if np.allclose(corrections[0], corrections[1], rtol=1e-3):
        return applied
    return tuple(list(np.array(rates) / each) for rates, each in zip(applied, corrections))  # type: ignore[return-value]


def correction(beta_1: float, beta_2: float, steps: int, offset: int = 0) -> Any:
    """What Adam multiplies the learning rate with in its first steps."""
    t = np.arange(1 + offset, steps + 1 + offset)
    return np.sqrt(1 - beta_2**t) / (1 - beta_1**t)


def _given(case: Case) -> tuple[list[float], list[float]] | None:
    """The learning rates that the traces name."""
    found = []
    for side in case.facts.both:
        values = [side.number(step, "learning_rate") for step in range(case.facts.steps)]
        if any(value is None for value in values):
            return None
        found.append([float(value) for value in values if value is not None])
    return found[0], found[1]


def _rates(case: Case) -> tuple[list[float], list[float]] | None:
    """Rates that differ: as applied, or, if no formula tells it, as the traces name them, where updates differ."""
    applied, given = _applied(case), _given(case)
    if applied is None:
        differ = given is not None and not _same(*given) and (case.found or _unjudged(case))
        return given if differ else None
    applied = _normalized(case, applied)
    if _same(*applied) or _explained_by_epsilon(case):
        return None
    if given is not None and not _same(*given):
        return given
    return applied


def _unjudged(case: Case) -> bool:
    """Whether updates could not be compared, since something before them differs."""
    return not case.all


def _explained_by_epsilon(case: Case) -> bool:
    x, y = case.facts.fit(0), case.facts.fit(1)
    applied = _applied(case)
    return (
        applied is not None
        and not set(x.formulas) & set(y.formulas)
        and all(close(*pair, 2e-2) for pair in zip(*applied) if np.isfinite(pair).all())
    )


def _same(x: Sequence[float], y: Sequence[float]) -> bool:
    return all(close(a, b, SAME) for a, b in zip(x, y) if np.isfinite([a, b]).all())


def _late(case: Case) -> Evidence | None:
    rates = _rates(case)
    if rates is None or len(rates[0]) < 2:
        return None
    x, y = rates
    if _constant(x) or _constant(y):
        return None
    for one, other, which in ((x, y, 0), (y, x, 1)):
        if _same(one[1:], other[:-1]) and not _same(one[:-1], other[1:]):
            words = (
                f"{case.names[which]} is one step ahead: its learning rate (with bias correction) "
                "of each step is the other's of the next"
            )
            return _evidence(case, words, rates)
    return None


def _bias_correction(case: Case) -> Evidence | None:
    rates, given = _rates(case), _given(case)
    applied = _applied(case)
    fits = case.facts.fit(0), case.facts.fit(1)
    if rates is None or applied is None or "adam" not in fits[0].kind or (given is not None and not _same(*given)):
        return None
    betas = [case.facts.decay(0, slot) for slot in ("m", "v")]
    if any(each is None for each in betas):
        return None
    beta_1, beta_2 = (each.beta for each in betas if each is not None)
    usual = correction(beta_1, beta_2, len(applied[0]))
    quotient = np.array(applied[1]) / np.array(applied[0])
    for which, left in ((0, quotient / usual), (1, quotient * usual)):
        if np.allclose(left, left[0], rtol=1e-3) and not np.allclose(usual, usual[0], rtol=1e-3):
            return _evidence(case, f"{case.names[which]} updates without Adam's bias correction", applied)
    for offset in range(1, 4):
        later = correction(beta_1, beta_2, len(applied[0]), offset) / usual
        for which, value in ((1, quotient), (0, 1 / quotient)):
            if np.allclose(value, later, rtol=1e-3):
                steps = f"{offset} step{'s' * (offset > 1)}"
                words = f"{case.names[which]} counts {steps} more: its bias correction is that of a later step"
                return _evidence(case, words, applied)
    return None


def _factor(case: Case) -> Evidence | None:
    rates = _rates(case)
    if rates is None:
        return None
    pairs = [(a, b) for a, b in zip(*rates) if np.isfinite([a, b]).all() and a]
    factors = [b / a for a, b in pairs]
    if not factors or not all(close(each, factors[0], 1e-3) for each in factors):
        return None
    factor = factors[0]
    words = (
        f"the learning rate is {power(pairs[0][0])} in {case.names[0]} and {power(pairs[0][1])} "
        f"in {case.names[1]}, {power(factor)} times as large in each step"
    )
    batch = case.a.batch_size
    if batch > 1 and close(max(factor, 1 / factor), batch, 1e-3):
        words += ": the batch size"
    return _evidence(case, words, rates)


def _form(case: Case) -> Evidence | None:
    rates = _rates(case)
    if rates is None or len(rates[0]) < 2 or not np.isfinite(rates).all():
        return None
    forms = [_schedule(each) for each in rates]
    words = f"learning rates go other ways: {forms[0]} in {case.names[0]}, {forms[1]} in {case.names[1]}"
    return _evidence(case, words, rates)


def _schedule(rates: Sequence[float]) -> str:
    listed = ", ".join(map(power, rates[:3]))
    if _constant(rates):
        return f"constant ({power(rates[0])})"
    if len(rates) > 2:
        ratios = [after / before for before, after in zip(rates, rates[1:]) if before]
        if len(ratios) > 1 and all(close(each, ratios[0], 1e-5) for each in ratios):
            return f"exponential, {power(ratios[0])} from step to step ({listed})"
        inverse = np.diff(1 / np.array(rates)) if all(rates) else np.zeros(0)
        if inverse.size > 1 and np.ptp(inverse) < 1e-3 * abs(inverse[0]):
            return f"by inverse time ({listed})"
        steps = np.diff(rates)
        if np.ptp(steps) < 1e-3 * abs(steps[0]):
            return f"linear, {power(steps[0])} from step to step ({listed})"
    return listed


def _constant(rates: Sequence[float]) -> bool:
    return all(close(each, rates[0], 1e-6) for each in rates)


def _evidence(case: Case, words: str, rates: tuple[list[float], list[float]]) -> Evidence:
    first = next((k for k, pair in enumerate(zip(*rates)) if not _same([pair[0]], [pair[1]])), 0)
    name = next(iter(case.a.arrays(0, "update")), "")
    return Evidence(words, {"a": rates[0], "b": rates[1]}, name, first + 1)


def plain(rate: float) -> bool:
    """Whether somebody would write this rate."""
    return plain_number(rate) is not None


_L = "import numpy as np\nsteps = np.arange(4)\n"

RULES = (
    Rule(
        "bias-correction",
        "update",
        "rate",
        "Adam's bias correction",
        (
            "Optimizers written by hand (BERT's `AdamWeightDecayOptimizer`) leave it "
            "out; a restored step counter changes it."
        ),
        _bias_correction,
        (_L + "t = steps + 1\nx = 0.001 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)", _L + "x = 0.001 * np.ones(4)"),
        by_itself=True,
    ),
    Rule(
        "step-count",
        "update",
        "rate",
        "A schedule is a step ahead",
        "`global_step` before or after its increment; schedules of Keras count from 0.",
        _late,
        (_L + "x = 0.1 * 0.9**steps", _L + "x = 0.1 * 0.9 ** (steps + 1)"),
        by_itself=True,
    ),
    Rule(
        "learning-rate",
        "update",
        "rate",
        "The learning rate has a factor",
        "Defaults: Keras's Adagrad 0.001 (0.01 before 2.0), RMSprop 0.001, `tf.train` has none.",
        _factor,
        (_L + "x = 0.01 * np.ones(4)", _L + "x = 0.001 * np.ones(4)"),
        by_itself=True,
    ),
    Rule(
        "learning-rate-schedule",
        "update",
        "rate",
        "Learning rates go other ways",
        "`decay` of Keras's optimizers is by inverse time; `exponential_decay` has `staircase`.",
        _form,
        (_L + "x = 0.1 / (1 + 0.1 * steps)", _L + "x = 0.1 * 0.9**steps"),
        by_itself=True,
    ),
)
