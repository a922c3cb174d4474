"""The table of conversions: specimens, results that are continued, and the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from conversion_table import findings, making, measure, page, specimens


def _entry(specimen: str, target: str, outcome: str, **more: Any) -> dict[str, Any]:
    release, _, format_ = specimen.split()
    known = {"specimen": specimen, "target": target, "release": release, "format": format_, "outcome": outcome}
    return {**known, "first_different_layer": None, "largest_error": None, "optimizer": "", "problem": None, **more}


_ENTRIES = [
    _entry("1.15.5 mlp whole-h5", "2.21", "equal", optimizer="Adam continues after step 3, with its 4 slots"),
    _entry("1.15.5 rnn whole-h5", "2.21", "different", first_different_layer="gru", largest_error=0.1),
    _entry("1.4.1 mlp weights-h5", "2.21", "not converted", problem={"message": "no such layer", "details": ""}),
]


def test_specimens_without_companions_are_read(tmp_path: Path) -> None:
    entry = {"release": "1.15.5", "architecture": "mlp", "needs": [], "inputs": "i.npz", "optimizer": "Adam"}
    kinds = {"weights-h5": "w.h5", "architecture-json": "a.json", "whole-h5": "m.h5", "checkpoint": "c"}
    (tmp_path / "1.15").mkdir()
    index = [{**entry, "format": kind, "path": path} for kind, path in kinds.items()]
    (tmp_path / "1.15" / "index.json").write_text(json.dumps(index))
    found = {one.name: (one.model, one.architecture_file) for one in specimens.read(tmp_path)}
    function = f"{making.GIVEN_MODELS}:mlp"
    assert found == {
        "1.15.5 mlp weights-h5": ("a.json", "a.json"), "1.15.5 mlp whole-h5": (None, None),
        "1.15.5 mlp checkpoint": (function, None),
    }  # fmt: skip


def test_results_of_both_kinds_are_joined(tmp_path: Path) -> None:
    lines = [_ENTRIES[0], {"specimen": "1.15.5 mlp whole-h5", "target": "2.21", "plain": "model"}]
    (tmp_path / "results").write_text("\n".join(map(json.dumps, lines)))
    (entry,) = measure.read(tmp_path / "results")
    assert (entry["outcome"], entry["plain"]) == ("equal", "model")


def test_page_counts_outcomes_by_release_and_format() -> None:
    text = page.text([{**_ENTRIES[0], "plain": "nothing"}, *_ENTRIES[1:]], 4)
    assert "| 1.15.5 | 2 | 1 | 1 | 0 | 1 | 0 of 1 | 0 of 1 |" in text
    assert "| weights, `.h5` | 1 | 0 | 0 | 1 | 0 | — | — |" in text
    assert "Of 4 specimens, 3 were measured, drawn at random." in text
    assert text.count("| all | 3 | 1 | 1 | 1 | 1 | 0 of 1 | 0 of 1 |") == 2


def test_findings_name_causes_and_specimens() -> None:
    text = findings.text(_ENTRIES)
    assert text.startswith("2.21: 1 of 3 equal, 1 different")
    assert "## 1 x no such layer" in text
    assert "## 1 x different from layer gru on" in text
    assert "- 1.15.5 rnn whole-h5 to 2.21 (error 0.1)" in text
