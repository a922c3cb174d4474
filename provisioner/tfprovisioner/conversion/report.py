"""The report of a conversion: as text, as a JSON document, and as a page with the comparison."""

import json
from html import escape
from pathlib import Path
from typing import Any

import tfkernels
from tfkernels.comparison.render import html, number_format, part_details
from tfkernels.comparison.result import plain
from tfprovisioner.conversion.proof import under
from tfprovisioner.conversion.result import DIFFERENT, EQUAL, NOT_CONVERTED, Conversion
from tfprovisioner.system.files import replace_text

FORMAT = "tfkernels-conversion-1"

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="generator" content="tfkernels {version}">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>
<style>body{{font:15px/1.5 system-ui,sans-serif;max-width:76em;margin:2em auto;padding:0 1em;color-scheme:light dark}}
dl.facts{{display:grid;grid-template-columns:max-content 1fr;gap:2px 16px}}dl.facts dt{{opacity:.7}}
dl.facts dd{{margin:0;overflow-wrap:anywhere;white-space:pre-wrap}}{style}</style></head>
<body><h1>{title}</h1><p>{headline}</p><dl class="facts">{facts}</dl>{comparison}</body></html>
"""


def document(result: Conversion) -> dict[str, Any]:
    """The report in values that JSON has."""
    proof = result.proof
    return {
        "format": FORMAT,
        "tfkernels": tfkernels.__version__,
        "file": str(result.file),
        "file_format": result.format,
        "written_by": result.written_by,
        "loaded_with": result.source or None,
        "target": result.target,
        "output": None if result.output is None else str(result.output),
        "became": result.became or None,
        "outcome": result.outcome,
        "exit_code": result.exit_code,
        "first_different_layer": None if proof is None or proof.passed else proof.first_layer,
        "differing_inside": list(proof.differing) if proof is not None and proof.passed else [],
        "largest_error": None if proof is None else plain(_largest_error(result)),
        "inputs": list(result.batches),
        "layers_not_compared": [] if proof is None else list(proof.left_out),
        "problem": None if result.problem is None else plain(result.problem),
        "attempts": [{"release": release, "problem": problem} for release, problem in result.attempts],
        "changes": list(result.changes),
        "matched": plain(list(result.matched)),
        "optimizer": result.optimizer or None,
        "notes": list(result.notes),
        "seconds": plain(dict(result.seconds)),
        "comparison": None if proof is None else proof.comparison.to_dict(),
    }


def headline(result: Conversion) -> str:
    """The outcome in one sentence. The largest error is of the values that agree, if the outputs do."""
    name = result.file.name
    if result.outcome == NOT_CONVERTED:
        return f"{name} was not converted to TensorFlow {result.target}."
    proof = result.proof
    assert proof is not None
    error = _largest_error(result)
    largest = "" if error is None else f" The largest error is {number_format.number(error)}."
    count = len(proof.layers) - len(proof.differing)
    on = f"on {len(result.batches)} batch{'es' * (len(result.batches) != 1)}"
    if result.outcome == EQUAL:
        return f"{name} is {result.became} for TensorFlow {result.target}: equal in {count} values {on}.{largest}"
    return (
        f"{name} is {result.became} for TensorFlow {result.target}, but differs: first in {proof.first_layer}.{largest}"
    )


def _largest_error(result: Conversion) -> float | None:
    assert result.proof is not None
    inside = result.proof.differing if result.proof.passed else ()
    parts = [part for part in result.proof.comparison.parts if not any(under(part.path, layer) for layer in inside)]
    errors = map(part_details.largest_error, parts)
    return max((error for error in errors if error is not None), default=None)


def facts(result: Conversion) -> list[tuple[str, str]]:
    """What is said of a conversion besides its outcome, with a label each."""
    proof, problem = result.proof, result.problem
    found = [
        ("file", f"{result.file} ({result.format}), written by {result.written_by or 'unknown'}"),
        ("loaded with", result.source and f"TensorFlow {result.source}"),
        *((f"not with {release}", shortened(why)) for release, why in result.attempts),
        ("new file", "" if result.output is None else str(result.output)),
    ]
    if problem is not None:
        found += [("layer", problem.layer), ("reason", shortened(problem.message)), ("what helps", problem.advice)]
    found += [("rewritten", change) for change in result.changes]
    found += [("weight", f"{one['target']} from {one['source']} ({one['how']})") for one in result.matched]
    found += [("optimizer", result.optimizer), ("inputs", "; ".join(result.batches))]
    if proof is not None and proof.left_out:
        found.append(("not compared", f"{', '.join(proof.left_out)} (a layer in one of the releases only)"))
    if proof is not None and proof.passed and proof.differing:
        found.append(
            ("inside", f"{', '.join(proof.differing)}: values of masked steps differ, which no later layer uses")
        )
    found += [("note", note) for note in result.notes]
    return [(label, said) for label, said in found if said]


def shortened(text: str, most: int = 600) -> str:
    """The beginning of a message: Keras puts whole models into some."""
    return text if len(text) <= most else f"{text[:most].rstrip()} …"


def text(result: Conversion) -> str:
    """The report for a terminal."""
    rows = facts(result)
    width = max(len(label) for label, _ in rows)
    lines = [headline(result), "", *(f"{label:<{width}}  {said}" for label, said in rows)]
    if result.outcome == DIFFERENT:
        assert result.proof is not None
        lines += ["", repr(result.proof.comparison)]
    return "\n".join(lines)


def page(result: Conversion) -> str:
    """One file that fetches nothing and runs nothing."""
    rows = "".join(f"<dt>{escape(label)}</dt><dd>{escape(said)}</dd>" for label, said in facts(result))
    comparison = "" if result.proof is None else html.fragment(result.proof.comparison)
    title = escape(f"{result.file.name} for TensorFlow {result.target}")
    return _PAGE.format(
        version=tfkernels.__version__, title=title, style=html.STYLE, headline=escape(headline(result)), facts=rows,
        comparison=comparison,
    )  # fmt: skip


def write(result: Conversion, output: Path) -> Path:
    """Writes the page and the document beside the new file; returns the page's path."""
    path = output.with_name(f"{output.name}.report.html")
    replace_text(path, page(result))
    replace_text(output.with_name(f"{output.name}.report.json"), to_json(result) + "\n")
    return path


def to_json(result: Conversion) -> str:
    return json.dumps(document(result), indent=1, ensure_ascii=False, allow_nan=False)
