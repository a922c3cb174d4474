"""Gradients by weight, as the optimizer gets them."""

from __future__ import annotations

import numpy as np

from tfkernels.diagnosis.finding import Evidence
from tfkernels.diagnosis.formulas.clipping import Clipping, global_norm, looks_clipped
from tfkernels.diagnosis.numbers import Array, close, plain_number, power, ratio, relative, rms
from tfkernels.diagnosis.rules.rule import Case, Rule

SAME = 2e-4


def _clipped(case: Case) -> Evidence | None:
    for step in range(case.step, case.facts.steps):
        found = [_real(case.facts.clipping(which, step)) for which in (0, 1)]
        if found[0].kind == found[1].kind and (
            found[0].kind in ("none", "unknown") or close(found[0].limit, found[1].limit)
        ):
            continue
        if "none" in (found[0].kind, found[1].kind) and not _would_clip(case, found, step):
            continue
        return Evidence(
            (
                f"gradients are clipped {_in_words(found[0])} in {case.names[0]} and {_in_words(found[1])} "
                f"in {case.names[1]}"
            ),
            {"a": found[0]._asdict(), "b": found[1]._asdict()},
            next(iter(case.a.arrays(step, "gradient")), ""),
            step + 1,
        )
    return None


def _real(clipping: Clipping) -> Clipping:
    return Clipping("none") if clipping.kind == "factor" else clipping


def _would_clip(case: Case, found: list[Clipping], step: int) -> bool:
    """Whether the clipping of one side would have changed the other side's gradients."""
    which = 0 if found[0].kind == "none" else 1
    gradients, limit = case.facts.both[which].arrays(step, "gradient"), found[1 - which].limit * 1.001
    kind = found[1 - which].kind
    if kind == "value":
        return any(float(np.abs(array).max(initial=0)) > limit for array in gradients.values())
    if kind == "norm":
        return any(float(np.sqrt(np.sum(array * array))) > limit for array in gradients.values())
    return global_norm(gradients) > limit or kind == "unknown"


def _in_words(clipping: Clipping) -> str:
    names = {
        "none": "not at all",
        "value": f"by value to {power(clipping.limit)}",
        "norm": f"one by one to a norm of {power(clipping.limit)}",
        "global norm": f"together to a norm of {power(clipping.limit)}",
    }
    return names.get(clipping.kind, "in an unknown way")


def _looks_clipped(case: Case) -> Evidence | None:
    if not case.found:
        return None
    sides = [side.arrays(case.step, "gradient") for side in case.facts.both]
    found = [looks_clipped(each) for each in sides]
    for which in (0, 1):
        one, other = found[which], found[1 - which]
        if one.kind == "none" or other == one:
            continue
        gradients = sides[1 - which]
        if one.kind == "global norm" and not global_norm(gradients) > one.limit * 1.001:
            continue
        words = (
            f"the gradients' norm is {power(one.limit)} in {case.names[which]}, and {power(global_norm(gradients))} "
            f"in {case.names[1 - which]}: clipped"
        )
        if one.kind == "norm":
            words = f"each gradient has the norm {power(one.limit)} in {case.names[which]}: clipped one by one"
        if one.kind == "value":
            words = f"no gradient is larger than {power(one.limit)} in {case.names[which]}: clipped by value"
        return Evidence(words, {"limit": one.limit, "kind": one.kind}, case.found[0].name)
    return None


def _missing(case: Case) -> Evidence | None:
    x, y = (side.unclipped(case.step) for side in case.facts.both)
    weights = [side.before(case.step) for side in case.facts.both]
    for one, other, which in ((x, y, 1), (y, x, 0)):
        lost = [
            name
            for name, array in one.items()
            if np.any(array) and name in weights[which] and not np.any(other.get(name, np.zeros(1)))
        ]
        noise = 1e-6 * max((rms(array) for array in one.values()), default=0.0)
        lost = [name for name in lost if rms(one[name]) > noise]
        if lost and len(lost) < len(one):
            absent = all(name not in other for name in lost)
            why = (
                "it is not trained (trainable, or var_list)" if absent else "it is zero (stop_gradient, or not trained)"
            )
            listed = ", ".join(lost[:3]) + (f" and {len(lost) - 3} more" if len(lost) > 3 else "")
            words = f"{case.names[which]} has no gradient of {listed}: {why}"
            return Evidence(words, {"weights": lost[:20]}, lost[0], case.step + 1)
    return None


def _pairs(case: Case) -> list[tuple[str, Array, Array]]:
    return [(each.name, each.x, each.y) for each in case.all if each.x.shape == each.y.shape]


def _factor(case: Case) -> Evidence | None:
    pairs = [
        (name, *ratio(x, y)) for name, x, y in _pairs(case) if rms(x) > 1e-4 * max(rms(p[1]) for p in _pairs(case))
    ]
    if not pairs or len(case.found) < len(pairs) or any(error > 1e-3 for _, _, error in pairs):
        return None
    factor = pairs[0][1]
    if not factor or not all(close(each, factor, 1e-3) for _, each, _ in pairs):
        return None
    words = f"the gradient of every weight is {power(factor)} times as large in {case.names[1]}"
    batch = case.a.batch_size
    if factor < 0:
        words += ": the sign is reversed"
    elif batch > 1 and close(max(factor, 1 / factor), batch, 1e-3):
        words += ", the batch size: sum against mean"
    return Evidence(words, {"factor": factor}, pairs[0][0])


def _factor_of_some(case: Case) -> Evidence | None:
    found = [(each.name, *ratio(each.x, each.y)) for each in case.found if each.x.shape == each.y.shape]
    if not found or any(error > 1e-3 or plain_number(factor, 1e-3) is None for _, factor, error in found):
        return None
    names = ", ".join(name for name, _, _ in found[:3])
    words = (
        f"the gradient of {names} is {power(found[0][1])} times as large in {case.names[1]}: "
        "it is scaled, or a layer is used more than once"
    )
    return Evidence(words, {"factors": {name: factor for name, factor, _ in found[:20]}}, found[0][0])


def _decay(case: Case) -> Evidence | None:
    before = case.a.before(case.step)
    found = []
    for name, x, y in [(each.name, each.x, each.y) for each in case.found]:
        weight = before.get(name)
        if weight is None or weight.shape != x.shape or x.shape != y.shape:
            return None
        factor, error = ratio(weight, y - x)
        if error > 2e-2:
            sign, error = ratio(np.sign(weight), y - x)
            if error > 2e-2:
                return None
            factor = sign
        found.append((name, factor))
    if not found:
        return None
    which = 1 if found[0][1] > 0 else 0
    words = (
        f"the gradients of {len(found)} weights have {power(abs(found[0][1]))} times "
        f"the weight added in {case.names[which]}: regularisation that the loss does "
        "not show"
    )
    return Evidence(words, {"factor": found[0][1]}, found[0][0])


def _not_shared(case: Case) -> Evidence | None:
    sides = [side.unclipped(case.step) for side in case.facts.both]
    for which in (0, 1):
        shared, copies = sides[which], sides[1 - which]
        for name, array in shared.items():
            alone = [n for n, other in copies.items() if n not in shared and other.shape == array.shape]
            mine = copies.get(name)
            parts = ([mine] if mine is not None else []) + [copies[n] for n in alone]
            if len(parts) > 1 and alone and relative(np.sum(parts, axis=0), array) < 1e-3:
                words = (
                    f"{name} is shared in {case.names[which]}; {case.names[1 - which]} has {len(parts)} "
                    "copies, whose gradients add up to it"
                )
                return Evidence(words, {"copies": len(parts)}, name)
    return None


def _some_sign(case: Case) -> Evidence | None:
    first = case.first
    if first is None or first.x.shape != first.y.shape:
        return None
    if relative(first.x, -first.y) < SAME:
        return Evidence(f"the gradient of {first.name} has the other sign in {case.names[1]}", {}, first.name)
    return None


def _sparse(case: Case) -> Evidence | None:
    """Rows that one side has twice: sparse gradients that were not added up."""
    first = case.first
    if first is None or first.x.ndim != 2 or first.x.shape != first.y.shape:
        return None
    rows = [i for i in range(min(len(first.x), 5000)) if np.any(first.x[i]) or np.any(first.y[i])]
    bad = [i for i in rows if relative(first.x[i], first.y[i]) > 1e-3]
    if not bad or len(bad) > len(rows) / 2:
        return None
    words = f"the gradient of {first.name} differs in {len(bad)} of {len(rows)} rows that have one"
    return Evidence(words, {"rows": bad[:10]}, first.name)


_G = "import numpy as np\ng = np.array([3.0, 4.0, 12.0])\n"
_TF = "import numpy as np\nimport tensorflow as tf\n" + 'g = np.array([3.0, 4.0, 12.0], "float32")\n'

RULES = (
    Rule(
        "clipping",
        "gradient",
        "clipping",
        "Clipping",
        (
            "`clipnorm` of Keras clips each gradient, `global_clipnorm` (since 2.4) "
            "and `tf.clip_by_global_norm` all together."
        ),
        _clipped,
        (_TF + "x = tf.clip_by_norm(g, 5.0)", _TF + "x = tf.clip_by_value(g, -5.0, 5.0)"),
        by_itself=True,
    ),
    Rule(
        "clipped",
        "gradient",
        "factor",
        "One side looks clipped",
        "Clipping before `apply_gradients` in a loop.",
        _looks_clipped,
        (_G + "x = g", _G + "x = g * 5.0 / np.sqrt((g**2).sum())"),
    ),
    Rule(
        "not-shared",
        "gradient",
        "missing",
        "A shared weight has copies",
        "`reuse=True` of a variable scope; one layer called twice.",
        _not_shared,
        (_G + "x = g + 2 * g", _G + "x = g"),
    ),
    Rule(
        "gradient-missing",
        "gradient",
        "missing",
        "A weight has no gradient",
        "`trainable=False`, `var_list`, `tf.stop_gradient`.",
        _missing,
        (_G + "x = [g, g]", _G + "x = [g]"),
        by_itself=True,
    ),
    Rule(
        "gradient-factor",
        "gradient",
        "factor",
        "All gradients have a factor",
        "The loss is scaled behind its own value: loss scaling, averaging over devices, sum against mean.",
        _factor,
        (_G + "x = g", _G + "x = g / 32"),
    ),
    Rule(
        "decay-in-gradient",
        "gradient",
        "factor",
        "Weight decay is added to the gradients",
        "Regularisation by hand in `apply_gradients`.",
        _decay,
        (_G + "w = np.ones(3)\nx = g", _G + "w = np.ones(3)\nx = g + 1e-2 * w"),
    ),
    Rule(
        "gradient-sign",
        "gradient",
        "factor",
        "A gradient has the other sign",
        "Gradient reversal layers.",
        _some_sign,
        (_G + "x = g", _G + "x = -g"),
    ),
    Rule(
        "gradient-factor-of-some",
        "gradient",
        "factor",
        "Some gradients have a factor",
        "Gradient multipliers of `tf.contrib.training`, and weights used several times.",
        _factor_of_some,
        (_G + "x = [g, g]", _G + "x = [g, g * 0.1]"),
    ),
    Rule(
        "gradient-rows",
        "gradient",
        "factor",
        "Some rows of a gradient differ",
        "Embeddings: padding that is masked, and clipping of sparse gradients.",
        _sparse,
        (_G + "x = np.stack([g, g, g])", _G + "x = np.stack([g * 0, g, g])"),
    ),
)
