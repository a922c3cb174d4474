"""What the optimizer adds to the weights, apart from the learning rate."""

from __future__ import annotations

import numpy as np

from tfkernels.diagnosis.finding import Evidence
from tfkernels.diagnosis.formulas.updates import Fit, effect
from tfkernels.diagnosis.numbers import close, power, relative
from tfkernels.diagnosis.rules.rule import Case, Rule

VISIBLE = 3e-4
"""The share of the updates that an epsilon must change to be reported."""


def _fits(case: Case) -> tuple[Fit, Fit] | None:
    """Both fits if there are such, and no formula explains both."""
    x, y = case.facts.fit(0), case.facts.fit(1)
    if not x.formulas or not y.formulas or set(x.formulas) & set(y.formulas):
        return None
    return x, y


_FORMS = {
    "outside": "outside the root, sqrt(v) + {}",
    "corrected": "outside the root of the corrected moment, sqrt(v / (1 - beta_2 ** t)) + {}",
    "inside": "inside the root, sqrt(v + {})",
}


def _epsilon(case: Case) -> Evidence | None:
    fits = _fits(case)
    if fits is None or fits[0].kind != fits[1].kind or not fits[0].formulas[0].form:
        return None
    x, y = (fit.formulas[0] for fit in fits)
    same = next(((p, q) for p in fits[0].formulas for q in fits[1].formulas if p.form == q.form), None)
    if same and x.form != y.form:
        x, y = same
    if max(effect(side, x, y, case.facts.beta_2(which)) for which, side in enumerate(case.facts.both)) < VISIBLE:
        return None
    ours, theirs = (_FORMS[each.form].format(power(each.epsilon)) for each in (x, y))
    first = _by_how_much(case)
    what = "epsilon" if x.form == y.form else "where epsilon is added"
    words = f"{first}{what} differs in the optimizer: {ours} in {case.names[0]}, {theirs} in {case.names[1]}"
    if {x.form, y.form} == {"outside", "corrected"}:
        words += ". TensorFlow's Adam means epsilon_hat, outside the uncorrected root"
    return Evidence(words, {"a": x._asdict(), "b": y._asdict()}, _weight(case), 1)


def _by_how_much(case: Case) -> str:
    """How far updates are apart in each step, if gradients and learning rates agree: else epsilon is not the reason."""
    rates = [next(iter(case.facts.rates(which)), {}) for which in (0, 1)]
    if not all(close(rate, rates[1].get(name, rate), 2e-2) for name, rate in rates[0].items()):
        return ""
    if not _far(case, 0, "gradient") < 1e-3:
        return ""
    found = [f"{100 * _far(case, step, 'update'):.2g} %" for step in range(case.facts.steps)]
    return f"updates differ by {', '.join(found)} in the steps: "


def _far(case: Case, step: int, quantity: str) -> float:
    """The relative size of the difference of all arrays together."""
    x, y = case.a.arrays(step, quantity), case.b.arrays(step, quantity)
    shared = [name for name in x if name in y and x[name].shape == y[name].shape]
    if not shared:
        return 0.0
    one, other = (np.concatenate([each[name].ravel() for name in shared]) for each in (x, y))
    return relative(one, other)


def _nesterov(case: Case) -> Evidence | None:
    fits = _fits(case)
    if fits is None or fits[0].kind != "momentum" or fits[1].kind != "momentum":
        return None
    which = 0 if fits[0].formulas[0].nesterov else 1
    words = f"{case.names[which]} uses Nesterov's momentum, {case.names[1 - which]} the plain one"
    return Evidence(words, {"nesterov": case.names[which]}, _weight(case), 1)


def _kind(case: Case) -> Evidence | None:
    fits = _fits(case)
    if fits is None or fits[0].kind == fits[1].kind:
        return None
    words = f"updates follow {fits[0].kind} in {case.names[0]} and {fits[1].kind} in {case.names[1]}"
    return Evidence(words, {"a": fits[0].kind, "b": fits[1].kind}, _weight(case), 1)


def _decays(case: Case, which: int) -> dict[str, float]:
    fit = case.facts.fit(which)
    if not fit.decay or not fit.coefficients:
        return {}
    return {name: -values[-1] for name, values in fit.coefficients[0].items() if abs(values[-1]) > 1e-9}


def _decay(case: Case) -> Evidence | None:
    fits = [case.facts.fit(which) for which in (0, 1)]
    if not all(fit.formulas for fit in fits):
        return None
    ours, theirs = _decays(case, 0), _decays(case, 1)
    if not ours and not theirs:
        return None
    sizes = [_strongest(case, each) for each in (ours, theirs)]
    if ours and theirs:
        if not close(sizes[0], sizes[1], 1e-2):
            words = (
                f"weight decay takes {power(sizes[0])} of the weights in each step in {case.names[0]} "
                f"and {power(sizes[1])} in {case.names[1]}"
            )
            rate = next(iter(case.facts.rates(0)[0].values()), 0.0)
            if rate and close(max(sizes) / min(sizes), 1 / rate, 2e-2):
                words += ": times the learning rate in one of them"
            return Evidence(words, {"a": sizes[0], "b": sizes[1]}, _largest(case, ours), 1)
        return None
    which = 0 if ours else 1
    words = (
        f"{case.names[which]} has a weight decay apart from the gradients (decoupled): it takes {power(sizes[which])} "
        f"of the weights in each step; {case.names[1 - which]} has none"
    )
    return Evidence(words, {"a": sizes[0], "b": sizes[1]}, _largest(case, ours or theirs), 1)


def _strongest(case: Case, decays: dict[str, float]) -> float:
    return decays[_largest(case, decays)] if decays else 0.0


def _largest(case: Case, decays: dict[str, float]) -> str:
    before = case.a.before(0)
    return max(decays, key=lambda name: float(np.sum(np.square(before.get(name, 0.0)))))


def _unchanged(case: Case) -> Evidence | None:
    still = [set(case.facts.fit(which).unchanged) for which in (0, 1)]
    for which in (0, 1):
        only = sorted(
            name
            for name in still[which] - still[1 - which]
            if np.any(case.facts.both[1 - which].arrays(0, "update").get(name, 0))
        )
        if only:
            words = (
                f"{case.names[which]} does not update {', '.join(only[:3])}, which has a "
                "gradient: it is not in the optimizer's list"
            )
            return Evidence(words, {"weights": only[:20]}, only[0], 1)
    return None


def _by_weight(case: Case) -> Evidence | None:
    """Weights whose learning rate differs from that of the others."""
    x, y = (next(iter(case.facts.rates(which)), {}) for which in (0, 1))
    shared = [name for name in x if name in y and x[name] and y[name]]
    if len(shared) < 2 or _fits(case) is not None:
        return None
    ratios = {name: y[name] / x[name] for name in shared}
    usual = float(np.median(list(ratios.values())))
    odd = {name: value / usual for name, value in ratios.items() if not close(value, usual, 2e-2)}
    if not odd:
        return None
    name = next(iter(odd))
    words = (
        f"the learning rate of {name} is {power(odd[name])} times as large in {case.names[1]}, "
        "and that of most weights is not"
    )
    return Evidence(words, {"factors": odd}, name, 1)


def _weight(case: Case) -> str:
    first = case.first
    return first.name if first else next(iter(case.a.arrays(0, "update")), "")


_A = "import numpy as np\nm, v, lr = 0.1 * np.array([1e-6, 1e-3]), 0.001 * np.array([1e-6, 1e-3]) ** 2, 0.01\n"
_S = "import numpy as np\ng, acc, lr = np.array([1.0, 2.0]), np.array([0.5, -1.0]), 0.1\n"

RULES = (
    Rule(
        "frozen",
        "update",
        "frozen",
        "A weight is not updated",
        "`var_list` of `minimize`; a list of variables made before a layer was built.",
        _unchanged,
        (_S + "x = [-lr * g, -lr * g]", _S + "x = [-lr * g, 0 * g]"),
        by_itself=True,
    ),
    Rule(
        "epsilon",
        "update",
        "formula",
        "Epsilon of the optimizer: its place and size",
        (
            "TensorFlow's Adam adds epsilon_hat to the uncorrected root, the paper and PyTorch to the corrected one. "
            "The default is 1e-8 in `tf.train` and 1e-7 in Keras. "
            "RMSprop has it inside in `tf.train` (1e-10), Keras 2.15 and 3 (1e-7), and outside in `tf.keras` of 1.15."
        ),
        _epsilon,
        (
            _A + "x = -lr * np.sqrt(1 - 0.999) / (1 - 0.9) * m / (np.sqrt(v) + 1e-7)  # epsilon_hat",
            _A + "x = -lr * m / (1 - 0.9) / (np.sqrt(v / (1 - 0.999)) + 1e-7)  # as in the paper",
        ),
        by_itself=True,
    ),
    Rule(
        "nesterov",
        "update",
        "formula",
        "Nesterov's momentum",
        "`use_nesterov` of `MomentumOptimizer`, `nesterov` of Keras's SGD.",
        _nesterov,
        (_S + "acc = 0.9 * acc + g\nx = -lr * acc", _S + "acc = 0.9 * acc + g\nx = -lr * (g + 0.9 * acc)"),
        by_itself=True,
    ),
    Rule(
        "update-formula",
        "update",
        "formula",
        "Another formula of the update",
        "Nadam and Adam have the same slots, as do amsgrad and Adam.",
        _kind,
        (_S + "x = -lr * g", _S + "x = -lr * np.sign(g)"),
        by_itself=True,
        follows=("optimizer",),
    ),
    Rule(
        "weight-decay",
        "update",
        "decay",
        "Weight decay apart from the gradients",
        (
            "`AdamWOptimizer` of `tf.contrib` takes `weight_decay * w`, Keras's `AdamW` "
            "multiplies it with the learning rate."
        ),
        _decay,
        (_S + "w = np.ones(2)\nx = -lr * g", _S + "w = np.ones(2)\nx = -lr * g - lr * 0.01 * w"),
        by_itself=True,
    ),
    Rule(
        "rate-of-some-weights",
        "update",
        "by weight",
        "Learning rates differ from weight to weight",
        "Two optimizers, or multipliers of gradients.",
        _by_weight,
        (_S + "x = [-lr * g, -lr * g]", _S + "x = [-lr * g, -10 * lr * g]"),
        by_itself=True,
    ),
)
