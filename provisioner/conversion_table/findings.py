"""What fails, by cause, with the specimens that it concerns: for those who work on it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from tfprovisioner.conversion.report import shortened

Entry = Mapping[str, Any]


def text(entries: Sequence[Entry]) -> str:
    """One section for each cause, the most frequent first."""
    causes: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry["outcome"] == "different":
            causes[f"different from layer {entry['first_different_layer']} on"].append(entry)
        elif entry["outcome"] != "equal":
            problem = entry["problem"] or {"message": "no problem was named"}
            causes[shortened(problem["message"], 300)].append(entry)
    lines = [summary(entries), ""]
    for cause, found in sorted(causes.items(), key=lambda pair: -len(pair[1])):
        lines += [f"## {len(found)} x {cause}", ""]
        details = (found[0]["problem"] or {}).get("details", "")
        lines += [f"    {line}" for line in details.strip().splitlines()[-12:]]
        lines += [f"- {one['specimen']} to {one['target']} (error {one['largest_error']})" for one in found] + [""]
    without = [
        one for one in entries if one["outcome"] != "not converted" and ", with its" not in (one["optimizer"] or "")
    ]
    if without:
        lines += ["## Optimizer does not continue", ""]
        lines += [f"- {one['specimen']} to {one['target']}: {one['optimizer'] or 'nothing is said'}" for one in without]
    return "\n".join(lines) + "\n"


def summary(entries: Sequence[Entry]) -> str:
    parts = []
    for target in sorted({entry["target"] for entry in entries}):
        of_target = [entry for entry in entries if entry["target"] == target]
        equal = sum(entry["outcome"] == "equal" for entry in of_target)
        different = sum(entry["outcome"] == "different" for entry in of_target)
        parts.append(f"{target}: {equal} of {len(of_target)} equal, {different} different")
    return "; ".join(parts) or "nothing was measured"
