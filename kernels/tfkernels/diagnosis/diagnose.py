"""From two training traces to findings."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Mapping, Sequence

import numpy as np

from tfkernels.diagnosis.differences import Difference, differences, spread
from tfkernels.diagnosis.finding import QUANTITIES, Evidence, Finding
from tfkernels.diagnosis.formulas.averages import average_decay
from tfkernels.diagnosis.formulas.losses import data_term
from tfkernels.diagnosis.numbers import Array, power, ratio, rms
from tfkernels.diagnosis.rules.catalogue import RULES
from tfkernels.diagnosis.rules.initial_weights import differing
from tfkernels.diagnosis.rules.rule import Case, Facts, Rule
from tfkernels.diagnosis.sides import Arrays, Side, follows, gradients_or_moments, sides


@dataclass(frozen=True)
class Diagnosis:
    """Findings in the order in which the computation makes them, and what could not be compared."""

    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    facts: Facts

    @property
    def a(self) -> Side:
        return self.facts.both[0]

    @property
    def b(self) -> Side:
        return self.facts.both[1]


def diagnose(
    a: Mapping[str, object],
    b: Mapping[str, object],
    names: tuple[str, str] = ("a", "b"),
    mapping: Mapping[str, str] | None = None,
) -> Diagnosis:
    """All independent differences of two training traces."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of NaN and infinity, which are differences like others
        return _diagnosed(a, b, names, mapping)


def _diagnosed(
    a: Mapping[str, object], b: Mapping[str, object], names: tuple[str, str], mapping: Mapping[str, str] | None
) -> Diagnosis:
    one, other, notes = sides(a, b, mapping)
    facts = Facts(one, other)
    found = _by_themselves(facts, names)
    for step in range(facts.steps):
        for quantity in QUANTITIES:
            found += _directly(quantity, step, facts, names, found)
    reasons = {finding.reason for finding in found}
    kept = [finding for finding in found if not reasons & set(_FOLLOWS.get(finding.reason or "", ()))]
    frozen = {
        f"{layer}/"
        for finding in found
        if finding.reason == "normalization-statistics"
        for layer in finding.evidence.get("layers", (finding.name,))
    }
    kept = [finding for finding in kept if not (frozen and _all_in(finding, frozen))]
    return Diagnosis(tuple(sorted(kept, key=lambda finding: finding.place)), notes, facts)


def _all_in(finding: Finding, layers: set[str]) -> bool:
    """Whether a finding is about weights of these layers only: of a frozen layer that also stops its statistics."""
    weights = finding.evidence.get("weights", ())
    return bool(weights) and all(weight.startswith(tuple(layers)) for weight in weights)


_FOLLOWS = {rule.id: rule.follows for rule in RULES}


def _by_themselves(facts: Facts, names: tuple[str, str]) -> list[Finding]:
    """What formulas find, whatever differed before."""
    a, b = facts.both
    found: list[Finding] = []
    for quantity in QUANTITIES:
        rules = [rule for rule in RULES if rule.quantity == quantity and rule.by_itself]
        found += _asked(rules, Case(quantity, 0, a, b, names, facts))
    return found


def _directly(
    quantity: str, step: int, facts: Facts, names: tuple[str, str], earlier: Sequence[Finding]
) -> list[Finding]:
    """What differs in a step although nothing before it does."""
    a, b = facts.both
    by_step = follows(a, b)  # then a step does not disturb the next
    disturbing = [finding for finding in earlier if finding.step - 1 == step or not by_step]
    if any(_disturbs(finding, quantity, step) for finding in disturbing):
        return []
    everything = tuple(_judged(quantity, facts, step, earlier))
    found = tuple(each for each in everything if each.exceeds)
    known = [finding for finding in earlier if finding.quantity == quantity and finding.step - 1 <= step]
    if not found or any(_explains(finding, found, a.arrays(step, quantity)) for finding in known):
        return []
    found = tuple(
        each for each in found if each.name not in {name for f in known for name in f.evidence.get("weights", ())}
    )
    case = Case(quantity, step, a, b, names, facts, found, everything)
    if not found:
        return []
    reasons = {finding.reason for finding in earlier}
    return _asked([rule for rule in RULES if rule.quantity == quantity and rule.id not in reasons], case) or (
        []
        if any(finding.quantity == quantity for finding in earlier if finding.step - 1 < step)
        else [_unexplained(case)]
    )


def _explains(finding: Finding, found: Sequence[Difference], order: Arrays) -> bool:
    """Whether a finding of this quantity is the cause of what differs: of outputs, it must not come after it."""
    if finding.quantity == "output":
        names = list(order)
        if finding.name in names and found[0].name in names:
            return names.index(finding.name) <= names.index(found[0].name)
        return True
    if finding.quantity == "input":
        if finding.reason == "examples-in-another-order":
            return True
        return all(each.name.startswith("target") == finding.name.startswith("target") for each in found)
    return finding.reason != "gradient-missing"


def _tested(rule: Rule, case: Case) -> Evidence | None:
    """What a rule finds. A rule does not fit arrays that are empty, infinite or of unexpected shapes."""
    try:
        return rule.test(case)
    except (ValueError, IndexError, ArithmeticError, np.linalg.LinAlgError):
        return None


def _asked(rules: Sequence[Rule], case: Case) -> list[Finding]:
    """The findings of rules; of those with one aspect, the first that fits."""
    aspects = set()
    findings = []
    for rule in rules:
        if rule.aspect not in aspects and (rule.by_itself or case.found):
            evidence = _tested(rule, case)
            if evidence is not None:
                aspects.add(rule.aspect)
                findings.append(_finding(rule, evidence, case))
    return findings


def _finding(rule: Rule, evidence: Evidence, case: Case) -> Finding:
    name = evidence.name or (case.first.name if case.first else "")
    return Finding(
        case.quantity,
        name,
        evidence.step or case.step + 1,
        rule.id,
        evidence.words,
        dict(evidence.figures),
        case.names[1],
    )


def _unexplained(case: Case) -> Finding:
    first = case.found[0]
    words = (
        f"{case.quantity} {first.name} is the first that differs, by {power(first.size)} "
        "of its size; no rule explains it"
    )
    if first.x.shape != first.y.shape:
        words = f"{case.quantity} {first.name} is the first that differs: shape {first.x.shape} against {first.y.shape}"
    figures = {"relative": first.size, "allowed": first.allowed, "differ": len(case.found), "of": len(case.all)}
    return Finding(case.quantity, first.name, case.step + 1, None, words, figures, case.names[1])


def _disturbs(finding: Finding, quantity: str, step: int) -> bool:
    """Whether a finding of something before makes this quantity of this step differ."""
    if (finding.step - 1, QUANTITIES.index(finding.quantity)) >= (step, QUANTITIES.index(quantity)):
        return False
    if quantity == "input" or (finding.quantity == "statistic"):
        return False
    if finding.quantity == "input" and finding.name.startswith("target"):
        return quantity in ("loss", "gradient", "slot", "update") or (quantity == "output" and step > finding.step - 1)
    if finding.step - 1 == step and quantity == "gradient" and finding.quantity == "loss":
        return finding.reason not in ("loss-reduction", "loss-weight", "regularization-lost", "regularization-amount")
    if quantity == "statistic":
        return finding.quantity in ("input", "output") or finding.step - 1 < step
    return True


def _judged(quantity: str, facts: Facts, step: int, earlier: Sequence[Finding]) -> list[Difference]:
    a, b = facts.both
    far = spread(a, b, step)
    if quantity == "output" and not step and any(True for _ in differing(Case("output", 0, a, b, ("a", "b"), facts))):
        return []
    if quantity == "gradient":
        return _gradients(facts, step, far, earlier)
    if quantity == "slot":
        return [] if _formulas_hold(facts) and facts.decays_hold else _slots(facts, step, far)
    if quantity == "update":
        return [] if _formulas_hold(facts) else _updates(a, b, step, far)
    if quantity == "statistic":
        return _statistics(a, b, step, far)
    x, y = a.arrays(step, quantity), b.arrays(step, quantity)
    if quantity == "output" and set(x) != set(y):  # the model's own output may then be that of another layer
        x = {name: array for name, array in x.items() if name != "output"}
    if quantity == "loss" and ("data" in x) != ("data" in y):
        x, y = _comparable_losses(x, y)
    return differences(quantity, x, y, 0.0 if quantity == "input" else far)


def _comparable_losses(x: Arrays, y: Arrays) -> tuple[Arrays, Arrays]:
    return {"loss": x["loss"]} if "loss" in x else {}, {"loss": y["loss"]} if "loss" in y else {}


def _gradients(facts: Facts, step: int, far: float, earlier: Sequence[Finding]) -> list[Difference]:
    """After what a difference of the losses explains: a factor, and a multiple of the weights."""
    a, b = facts.both
    x, y = (
        side.arrays(step, "gradient") if facts.clipping(which, step).kind == "factor" else side.unclipped(step)
        for which, side in enumerate(facts.both)
    )
    if any(finding.reason in ("clipping", "clipped") for finding in earlier):
        return []
    of_loss = [finding for finding in earlier if finding.quantity == "loss" and finding.step - 1 <= step]
    if of_loss:
        one, other = data_term(a, step), data_term(b, step)
        factor = other / one if one and other is not None else 1.0
        if any(finding.reason in ("regularization-lost", "regularization-amount") for finding in of_loss):
            return []
        x = {name: array * factor for name, array in x.items()}
        if any(np.any(side.arrays(step, "loss").get("regularization", 0.0)) for side in (a, b)):
            x = {name: _regularized(array, y.get(name), a.before(step).get(name)) for name, array in x.items()}
    return differences("gradient", x, y, far)


def _regularized(x: Array, y: Array | None, weight: Array | None) -> Array:
    """With the multiple of the weight that it lacks: a factor of the data term is none of the regularisation."""
    if y is None or weight is None or not x.shape == y.shape == weight.shape:
        return x
    return x + ratio(weight, y - x)[0] * weight


def _formulas_hold(facts: Facts) -> bool:
    """Whether formulas explain the updates of both, which is a stronger test than any direct one."""
    return bool(facts.fit(0).formulas and facts.fit(1).formulas)


def _slots(facts: Facts, step: int, far: float) -> list[Difference]:
    """Each kind by its own scale; of weights that both update. RMSprop's momentum makes whole steps of rounding."""
    if facts.fit(0).kind != facts.fit(1).kind:
        return []  # slots of another meaning
    groups: dict[str, tuple[Arrays, Arrays]] = {}
    still = {*facts.fit(0).unchanged, *facts.fit(1).unchanged}
    for which, side in enumerate(facts.both):
        arrays = side.arrays(step, "slot")
        scaled = any(name.endswith("/mean_square") for name in arrays)
        for key, array in arrays.items():
            name, _, kind = key.rpartition("/")
            if name not in still and not (scaled and kind == "momentum"):
                groups.setdefault(kind, ({}, {}))[which][key] = array
    return [each for x, y in groups.values() for each in differences("slot", x, y, far)]


def _updates(a: Side, b: Side, step: int, far: float) -> list[Difference]:
    """Without elements whose gradient is rounding: Adam makes whole steps of them."""
    x, y = dict(a.arrays(step, "update")), dict(b.arrays(step, "update"))
    gradients = [gradients_or_moments(side, step) for side in (a, b)]
    largest = max((rms(array) for array in gradients[0].values()), default=0.0)
    for name in list(x):
        pair = [each.get(name) for each in gradients]
        if pair[0] is None or pair[1] is None:
            del x[name]  # nothing tells what is rounding
            continue
        if name in y and pair[0].shape == pair[1].shape == x[name].shape == y[name].shape:
            noise = 1e-4 * largest
            clear = (abs(pair[0]) > noise) & (abs(pair[1]) > noise)
            x[name], y[name] = x[name] * clear, y[name] * clear
    return differences("update", x, y, far)


def _statistics(a: Side, b: Side, step: int, far: float) -> list[Difference]:
    """By how far they moved; averages of weights, too."""
    found: list[Difference] = []
    for quantity in ("statistic", "average"):
        moved: list[Arrays] = []
        for side in (a, b):
            before = side.before(step) if quantity == "statistic" or not step else side.arrays(step - 1, "average")
            after = side.arrays(step, quantity)
            moved.append(
                {n: v - before[n] if n in before and before[n].shape == v.shape else v for n, v in after.items()}
            )
        if quantity == "average":  # formulas are a stronger test
            moved[0] = {n: v for n, v in moved[0].items() if not all(_average_known(side, step, n) for side in (a, b))}
        found += differences("statistic", moved[0], moved[1], far)
    return found


def _average_known(side: Side, step: int, name: str) -> bool:
    known = average_decay(side, step, name)
    return known is not None and known[1] < 1e-2
