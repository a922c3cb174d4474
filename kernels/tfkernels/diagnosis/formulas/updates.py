"""Optimizers: how the update of a step follows from its gradients and slots.

The factor in front (learning rate and bias correction) is free for each weight, so a formula is tested by the
*direction* of the update alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Callable, NamedTuple

import numpy as np

from tfkernels.diagnosis.formulas.slots import Decay
from tfkernels.diagnosis.numbers import Array, least_squares, ratio, rms
from tfkernels.diagnosis.sides import Side

FITS = 4.0
"""A formula explains an update whose error is no more than this many times the expected rounding."""

SAMPLE = 200_000
"""Elements of all weights together that are used, at most."""

ROUNDING = 1e-5
"""A gradient this much smaller than the largest is taken for rounding."""

EPSILONS = (*(float(f"{digit}e{power}") for power in range(-12, 0) for digit in (1, 2, 5)), 1.0)


class Data(NamedTuple):
    """One weight in one step, flat."""

    name: str
    gradient: Array
    update: Array
    weight: Array  # before the step
    slots: dict[str, Array]
    before: dict[str, Array]
    noise: Array


class Formula(NamedTuple):
    """``kind`` is the optimizer's, ``epsilon`` and ``form`` say how epsilon enters."""

    kind: str
    form: str = ""  # "outside", "corrected" (epsilon times the root of the bias correction) or "inside"
    epsilon: float = 0.0
    nesterov: bool = False


@dataclass(frozen=True)
class Fit:
    """The formulas that explain the updates of one trace, the best first."""

    formulas: tuple[Formula, ...]
    error: float
    coefficients: tuple[dict[str, tuple[float, ...]], ...] = ()
    """For each step and weight: the factors of the formula's directions, and last, with a decay, of the weight."""
    decay: bool = False
    unchanged: tuple[str, ...] = ()
    """Weights with a gradient and without an update."""

    @property
    def kind(self) -> str:
        return self.formulas[0].kind if self.formulas else ""


def gather(side: Side, step: int) -> list[Data]:
    """Every weight of a step that has a gradient, an update and slots of its own shape."""
    gradients, updates, weights = side.arrays(step, "gradient"), side.arrays(step, "update"), side.before(step)
    every = max(1, -(-sum(array.size for array in gradients.values()) // SAMPLE))
    found = []
    for name, gradient in gradients.items():
        update, weight = updates.get(name), weights.get(name)
        if update is None or weight is None or not update.shape == gradient.shape == weight.shape:
            continue
        before, after = (
            {key: _some(array, every) for key, array in slots.items() if array.shape == gradient.shape}
            for slots in side.slots(step, name)
        )
        g, u, w = (_some(array, every) for array in (gradient, update, weight))
        if not all(np.isfinite(array).all() for array in (g, u, w, *after.values())):
            continue
        noise = 7e-8 * np.maximum(np.abs(w), np.abs(w + u)) + 6e-7 * np.abs(u) + 1e-12
        found.append(Data(name, g, u, w, after, before, noise))
    return found


def _clear(step: list[Data]) -> list[Data]:
    """Without weights whose gradient is zero in theory, and rounding in practice."""
    largest = max((rms(data.gradient) for data in step), default=0.0)
    return [data for data in step if rms(data.gradient) > ROUNDING * largest]


def _some(array: Array, every: int) -> Array:
    return array.ravel()[:: every if array.size > 1000 else 1]


def fit(side: Side, beta_2: float | None = None) -> Fit:
    """Which formulas explain the updates in all steps of a trace."""
    steps = [gather(side, step) for step in range(side.steps)]
    still = {data.name for step in steps for data in _clear(step)}
    still -= {data.name for step in steps for data in step if np.any(data.update)}
    steps = [[data for data in step if np.any(data.update)] for step in steps]
    if not steps or not all(steps):
        return Fit((), np.inf, unchanged=tuple(sorted(still)))
    best = _fit(steps, beta_2, decay=False)
    if best.error > FITS:
        with_decay = _fit(steps, beta_2, decay=True)
        if with_decay.error < FITS:
            best = with_decay
    return replace(best, unchanged=tuple(sorted(still)))


def _fit(steps: list[list[Data]], beta_2: float | None, *, decay: bool) -> Fit:
    errors: dict[Formula, float] = {}
    solved: dict[Formula, list[dict[str, tuple[float, ...]]]] = {}
    for formula in _candidates({slot for data in steps[0] for slot in data.slots}):
        worst, found = 0.0, []
        for number, step in enumerate(steps):
            solution = _solve(formula, step, number + 1, beta_2, decay)
            worst = max(worst, solution[1])
            found.append(solution[0])
            if not worst < 1e3:
                break
        errors[formula], solved[formula] = worst, found
    ranked = sorted(errors, key=lambda each: (errors[each], each.epsilon))
    if not ranked or not errors[ranked[0]] <= FITS:
        return Fit((), errors[ranked[0]] if ranked else np.inf)
    limit = 1.15 * errors[ranked[0]] + 0.1
    fitting = tuple(each for each in ranked if errors[each] <= limit)
    # two directions fit whatever one of them fits
    simple = tuple(each for each in fitting if not each.nesterov and "with momentum" not in each.kind)
    fitting = simple or fitting
    return Fit(fitting, errors[fitting[0]], tuple(solved[fitting[0]]), decay)


def _solve(
    formula: Formula, step: list[Data], number: int, beta_2: float | None, decay: bool
) -> tuple[dict[str, tuple[float, ...]], float]:
    """The factors for each weight, and the error over all of them in units of the rounding."""
    if not step:
        return {}, np.inf
    columns = [_columns(formula, data, number, beta_2) for data in step]
    if any(each is None or not all(np.isfinite(column).all() for column in each) for each in columns):
        return {}, np.inf
    if not decay and len(columns[0] or ()) == 1:
        return _solve_at_once(step, [each[0] for each in columns if each is not None])
    found: dict[str, tuple[float, ...]] = {}
    squares = 0.0
    for data, directions in zip(step, columns):
        assert directions is not None
        if decay:
            directions = [*directions, data.weight]
        coefficients, error = least_squares(directions, data.update, data.noise)
        found[data.name] = tuple(map(float, coefficients))
        squares += error**2 * data.update.size
    return found, float(np.sqrt(squares / sum(data.update.size for data in step)))


def _solve_at_once(step: list[Data], columns: list[Array]) -> tuple[dict[str, tuple[float, ...]], float]:
    """The same for a single direction, without a loop over the weights."""
    noise = np.concatenate([data.noise for data in step])
    x, y = np.concatenate(columns) / noise, np.concatenate([data.update for data in step]) / noise
    starts = np.cumsum([0, *(column.size for column in columns[:-1])])
    squares = np.add.reduceat(x * x, starts)
    factors = np.add.reduceat(x * y, starts) / np.where(squares, squares, 1.0)
    error = y - np.repeat(factors, [column.size for column in columns]) * x
    return {data.name: (float(each),) for data, each in zip(step, factors)}, rms(np.clip(error, -1e6, 1e6))


def effect(side: Side, one: Formula, other: Formula, beta_2: float | None) -> float:
    """By which share two formulas make other directions of the same gradients and slots, in the first step."""
    changed = whole = 0.0
    for data in _clear(gather(side, 0)):
        x, y = (_columns(each, data, 1, beta_2) for each in (one, other))
        if x and y:
            error = ratio(x[0], y[0])[1]
            changed += (error * rms(y[0])) ** 2 * data.update.size
            whole += rms(y[0]) ** 2 * data.update.size
    return float(np.sqrt(changed / whole)) if whole else 0.0


def _candidates(slots: set[str]) -> list[Formula]:
    if {"m", "v"} <= slots:
        kinds = ["amsgrad"] if "vhat" in slots else ["adam"]
        forms = [Formula(kind, "outside", 0.0) for kind in kinds]
        forms += [Formula(k, f, e) for k in kinds for f in ("outside", "corrected", "inside") for e in EPSILONS]
        forms += [Formula("nadam", f, e, nesterov=True) for f in ("outside", "corrected") for e in EPSILONS[::3]]
        return [*forms, Formula("adamax", "outside", 0.0), Formula("adamax", "outside", 1e-7)]
    if "mean_square" in slots:
        kind = "centered rmsprop" if "mean_gradient" in slots else "rmsprop"
        # TensorFlow 1 keeps a momentum of 0, too
        kinds = [kind, f"{kind} with momentum"] if "momentum" in slots else [kind]
        return [Formula(each, form, e) for each in kinds for form in ("outside", "inside") for e in EPSILONS]
    if "accumulator" in slots:
        return [
            Formula("adagrad", "outside", 0.0),
            *(Formula("adagrad", form, e) for form in ("outside", "inside") for e in EPSILONS),
        ]
    if "momentum" in slots:
        # Keras 2.11 to 2.15 keeps a momentum of 0, too
        return [Formula("sgd"), Formula("momentum"), Formula("momentum", nesterov=True)]
    if "m" in slots and "v" not in slots:
        return [Formula("sign")]
    return [] if slots else [Formula("sgd")]


def _columns(formula: Formula, data: Data, step: int, beta_2: float | None) -> list[Array] | None:
    """The directions whose sum, each with a free factor, is the update."""
    slots, e = data.slots, formula.epsilon
    if formula.kind in ("adam", "amsgrad", "nadam"):
        return _of_adam(formula, data, step, beta_2)
    if "rmsprop" in formula.kind:
        centre = np.square(slots["mean_gradient"]) if "mean_gradient" in slots else 0.0
        direction = data.gradient / _root(np.maximum(slots["mean_square"] - centre, 0), formula.form, e)
        return [direction, data.before["momentum"]] if "with momentum" in formula.kind else [direction]
    directions: dict[str, Callable[[], list[Array]]] = {
        "adamax": lambda: [slots["m"] / _root(np.square(slots["v"]), "outside", e)],
        "adagrad": lambda: [data.gradient / _root(slots["accumulator"], formula.form, e)],
        "momentum": lambda: [slots["momentum"], data.gradient][: 1 + formula.nesterov],
        "sign": lambda: [np.sign(slots["m"])],
        "sgd": lambda: [data.gradient],
    }
    return directions[formula.kind]()


def _of_adam(formula: Formula, data: Data, step: int, beta_2: float | None) -> list[Array] | None:
    e, first = formula.epsilon, data.slots["m"]
    if formula.form == "corrected":
        if beta_2 is None or not 0 < beta_2 < 1:
            return None
        e *= float(np.sqrt(1 - beta_2**step))
    root = _root(data.slots["vhat" if formula.kind == "amsgrad" else "v"], formula.form, e)
    return [first / root, data.gradient / root] if formula.kind == "nadam" else [first / root]


def _root(second: Array, form: str, epsilon: float) -> Array:
    """Where it would be zero, the gradient is, too."""
    root = np.sqrt(second + epsilon) if form == "inside" else np.sqrt(second) + epsilon
    return np.where(root > 0, root, 1.0)


CLEAR = 300.0
"""A factor counts if the update is so many times larger than its rounding."""


def refitted(side: Side, fitted: Fit, formula: Formula, beta_2: float | None) -> Fit:
    """The factors of another formula that explains the updates as well."""
    steps = [[data for data in gather(side, step) if np.any(data.update)] for step in range(side.steps)]
    solved = [_solve(formula, step, number + 1, beta_2, fitted.decay)[0] for number, step in enumerate(steps)]
    return replace(fitted, formulas=(formula,), coefficients=tuple(solved))


def rates(side: Side, fitted: Fit, momentum: Decay | None) -> list[dict[str, float]]:
    """What each step multiplies the gradient's direction with, for each weight: learning rate and bias correction.

    Empty for a step in which it cannot be told. Keras keeps the learning rate inside its momentum, TensorFlow 1 does
    not; both give the same here.
    """
    found: list[dict[str, float]] = []
    for step, coefficients in enumerate(fitted.coefficients):
        clear = {
            data.name: data
            for data in _clear(gather(side, step))
            if data.name in coefficients and rms(data.update) > CLEAR * rms(data.noise)
        }
        shares = {name: _rate(fitted.formulas[0], coefficients[name], data, momentum) for name, data in clear.items()}
        known = {name: share for name, share in shares.items() if share is not None}
        order = sorted(known, key=lambda name: -rms(clear[name].update) / rms(clear[name].noise))
        found.append({name: known[name] for name in order})
    return found


def _rate(formula: Formula, coefficients: tuple[float, ...], data: Data, momentum: Decay | None) -> float | None:
    if formula.kind == "nadam":
        return None
    if formula.kind != "momentum":
        return -coefficients[0]
    g = data.gradient
    square = float(np.dot(g, g))
    if not square or momentum is None:
        return None
    if formula.nesterov:
        if not np.any(data.before["momentum"]):
            return None
        return -coefficients[1]
    kept = momentum.kept or 0.0
    new = float(np.dot(g, data.slots["momentum"] - kept * data.before["momentum"])) / square
    return -coefficients[0] * new
