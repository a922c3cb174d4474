"""Whether a part of two training traces agrees by itself: computed from the trace's own values before it."""

from __future__ import annotations

import re

from tfkernels.diagnosis.diagnose import Diagnosis
from tfkernels.diagnosis.formulas.slots import FITS
from tfkernels.diagnosis.rules.rule import Facts

_PATH = re.compile(r"step (\d+) (\w+)\[['\"](.*)['\"]\]")


def agreement(found: Diagnosis, path: str) -> str:
    """``"agrees"``, ``"differs"``, or ``""`` if no formula tells. ``path`` is ``step 1 update['dense/kernel']``."""
    parsed = _PATH.match(path)
    if parsed is None:
        return ""
    step, part, name = int(parsed[1]) - 1, parsed[2], parsed[3]
    if not _is_known(found.facts, part, step, name):
        return ""
    differing = any(
        finding.quantity == part
        and finding.step - 1 <= step
        and (part in ("slot", "update") or finding.name == name or (part == "loss" and name == "loss"))
        for finding in found.findings
    )
    return "differs" if differing else "agrees"


def _is_known(facts: Facts, part: str, step: int, name: str) -> bool:
    """Whether formulas explain this part of both traces."""
    if part == "output":
        return not step and all(facts.settings(which, step, name) for which in (0, 1))
    if part == "loss":
        return name in ("loss", "data") and all(facts.losses(which) for which in (0, 1))
    if part == "slot":
        decays = [facts.decay(which, name.split("/")[-1]) for which in (0, 1)]
        return all(each is not None and each.error <= FITS for each in decays)
    return part == "update" and all(facts.fit(which).formulas for which in (0, 1))
