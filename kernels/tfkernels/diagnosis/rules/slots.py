"""Slots of the optimizer: moments and accumulators."""

from __future__ import annotations

import numpy as np

from tfkernels.diagnosis.finding import Evidence
from tfkernels.diagnosis.formulas.slots import FITS, Decay
from tfkernels.diagnosis.numbers import close, power
from tfkernels.diagnosis.rules.rule import Case, Rule

NAMES = {
    "m": "beta_1",
    "v": "beta_2",
    "momentum": "momentum",
    "mean_square": "rho",
    "mean_gradient": "rho",
    "accumulator": "decay",
    "vhat": "beta_2",
}


def kinds(case: Case, which: int) -> set[str]:
    """The names of the slots of weights; without a momentum that is not used."""
    side = case.facts.both[which]
    found = set()
    for key in side.arrays(0, "slot") if side.steps else ():
        weight, _, slot = key.rpartition("/")
        if weight in side.arrays(0, "gradient"):
            found.add(slot)
    formulas = {formula.kind for formula in case.facts.fit(which).formulas}
    plain = side.steps > 1 and formulas & {"sgd", "rmsprop", "centered rmsprop"}
    return found - {"momentum"} if plain else found


def _family(case: Case) -> Evidence | None:
    ours, theirs = kinds(case, 0), kinds(case, 1)
    if ours == theirs or not case.a.arrays(0, "gradient"):
        return None
    if {"m", "v"} <= ours & theirs and ours ^ theirs <= {"vhat"}:
        words = f"amsgrad: only {case.names[0 if 'vhat' in ours else 1]} keeps the largest second moments"
        if case.facts.fit(0).kind == case.facts.fit(1).kind:
            return None
    elif (case.facts.fit(0).kind, case.facts.fit(1).kind) == ("sgd", "sgd"):
        return None
    else:
        words = (
            f"the optimizers differ: {_optimizer(ours)} in {case.names[0]} and {_optimizer(theirs)} in {case.names[1]}"
        )
    return Evidence(words, {"a": sorted(ours), "b": sorted(theirs)}, next(iter(case.a.arrays(0, "gradient"))), 1)


def _optimizer(slots: set[str]) -> str:
    known = {
        frozenset(): "plain gradient descent",
        frozenset({"momentum"}): "gradient descent with momentum",
        frozenset({"m", "v"}): "Adam",
        frozenset({"m", "v", "vhat"}): "Adam with amsgrad",
        frozenset({"mean_square"}): "RMSprop",
        frozenset({"mean_square", "momentum"}): "RMSprop with momentum",
        frozenset({"accumulator"}): "Adagrad",
    }
    return known.get(frozenset(slots), f"slots {', '.join(sorted(slots))}" if slots else "no slots")


def _both(case: Case) -> list[tuple[str, Decay, Decay]]:
    found = []
    for slot in sorted(kinds(case, 0) & kinds(case, 1)):
        x, y = case.facts.decay(0, slot), case.facts.decay(1, slot)
        if x is not None and y is not None:
            found.append((slot, x, y))
    return found


def _initial(case: Case) -> Evidence | None:
    for slot, x, y in _both(case):
        if x.first is None or y.first is None or abs(x.first - y.first) < 1e-6:
            continue
        words = f"slot {slot} starts at {power(x.first)} in {case.names[0]} and at {power(y.first)} in {case.names[1]}"
        return Evidence(words, {"slot": slot, "a": x.first, "b": y.first}, _some_weight(case), 1)
    return None


def _decay(case: Case) -> Evidence | None:
    for slot, x, y in _both(case):
        if max(x.error, y.error) > FITS:
            continue
        betas = [_beta(slot, each) for each in (x, y)]
        if betas[0] is None or betas[1] is None or _same(betas[0], betas[1]):
            continue
        words = (
            f"{NAMES.get(slot, 'decay')} is {power(betas[0])} in {case.names[0]} and "
            f"{power(betas[1])} in {case.names[1]} (slot {slot})"
        )
        step = 1 if slot not in ("momentum",) and not close(x.new, y.new, 3e-4) else 2
        return Evidence(words, {"slot": slot, "a": betas[0], "b": betas[1]}, _some_weight(case), step)
    return _scaled_momentum(case)


def _scaled_momentum(case: Case) -> Evidence | None:
    """RMSprop's momentum, which keeps scaled gradients: by the update of the second step."""
    fits = [case.facts.fit(which) for which in (0, 1)]
    if case.facts.steps < 2 or not all("with momentum" in fit.kind and len(fit.coefficients) > 1 for fit in fits):
        return None
    values = [float(np.median([abs(each[1]) for each in fit.coefficients[1].values()])) for fit in fits]
    if close(values[0], values[1], 3e-3):
        return None
    words = (
        f"momentum of RMSprop is {power(values[0])} in {case.names[0]} and {power(values[1])} in {case.names[1]} "
        "(slot momentum)"
    )
    return Evidence(words, {"slot": "momentum", "a": values[0], "b": values[1]}, _some_weight(case), 2)


def _beta(slot: str, decay: Decay) -> float | None:
    if decay.kept is not None and decay.kept > 0:
        return decay.kept
    return 1 - decay.new if slot in ("m", "v", "mean_square", "mean_gradient") else None


def _same(x: float, y: float) -> bool:
    return abs(x - y) < 1e-6 or (close(x, y, 3e-4) and close(1 - x, 1 - y, 3e-3))


def _dampening(case: Case) -> Evidence | None:
    for slot, x, y in _both(case):
        if slot not in ("m", "v", "mean_square", "mean_gradient") or max(x.error, y.error) > FITS:
            continue
        if x.kept is None or y.kept is None or not _same(x.kept, y.kept) or close(x.new, y.new, 3e-3):
            continue
        words = (
            f"slot {slot} gets {power(x.new)} of each gradient in {case.names[0]} and "
            f"{power(y.new)} in {case.names[1]}: dampening"
        )
        return Evidence(words, {"slot": slot, "a": x.new, "b": y.new}, _some_weight(case), 1)
    return None


def _some_weight(case: Case) -> str:
    return next(iter(case.a.arrays(0, "gradient")), "")


_M = "import numpy as np\ng = np.array([1.0, 2.0])\nm = np.zeros(2)\n"

RULES = (
    Rule(
        "optimizer",
        "slot",
        "family",
        "Another optimizer",
        "`SGD` of Keras has no momentum by default.",
        _family,
        (_M + "x = m  # a slot", "x = []  # none"),
        by_itself=True,
    ),
    Rule(
        "slot-start",
        "slot",
        "start",
        "Slots start at other values",
        (
            "`tf.train.RMSPropOptimizer` starts its mean square at 1, Keras at 0; `Adagrad` "
            "starts at 0.1, and at 0 in old Keras."
        ),
        _initial,
        ("import numpy as np\nx = np.ones(2)", "import numpy as np\nx = np.zeros(2)"),
        by_itself=True,
    ),
    Rule(
        "slot-decay",
        "slot",
        "decay",
        "Decay of a slot: beta, rho, momentum",
        "RMSprop's decay is 0.9 in TensorFlow and Keras, 0.99 in PyTorch; momentum has no default in TensorFlow 1.",
        _decay,
        (_M + "x = 0.9 * m + 0.1 * g", _M + "x = 0.95 * m + 0.05 * g"),
        by_itself=True,
    ),
    Rule(
        "dampening",
        "slot",
        "decay",
        "A slot gets another share of the gradient",
        "Dampening in PyTorch; averages that start without bias correction.",
        _dampening,
        (_M + "x = 0.9 * m + g", _M + "x = 0.9 * m + 0.1 * g"),
        by_itself=True,
    ),
)
