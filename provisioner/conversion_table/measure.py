"""Converts specimens with the code of ``tfkernels convert``, and loads them plainly beside it."""

import json
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from conversion_table.reused_processes import ReusedProcesses
from conversion_table.specimens import Specimen
from tfkernels.errors import TFKernelsError
from tfprovisioner.conversion import report
from tfprovisioner.conversion.convert import convert, default_output
from tfprovisioner.conversion.kernels import Wanted
from tfprovisioner.conversion.process import started
from tfprovisioner.conversion.request import Request

_KEPT = (
    "outcome", "became", "first_different_layer", "largest_error", "optimizer", "problem", "notes", "attempts",
)  # fmt: skip

PLAIN = (Path(__file__).parent / "plain_loading.py").read_text(encoding="utf-8")
"""Runs in the target, and has the function ``plain``."""


def measure(
    specimens: Sequence[Specimen], targets: Sequence[str], custom_objects: Path | None, results: Path, kind: str
) -> None:
    """Adds a line of JSON to ``results`` for each specimen and target that has none of this kind there.

    ``kind`` is ``outcome``, of a conversion, or ``plain``, of plain loading.
    """
    done = {(one["specimen"], one["target"]) for one in read(results) if kind in one}
    processes = ReusedProcesses()
    try:
        for specimen in specimens:
            for target in targets:
                if (specimen.name, target) not in done:
                    own = custom_objects if specimen.needs else None
                    entry = {
                        "specimen": specimen.name, "release": specimen.release, "format": specimen.format,
                        "target": target,
                        **{"outcome": _converted, "plain": _plain}[kind](specimen, target, own, processes),
                    }  # fmt: skip
                    print(specimen.name, target, entry[kind], flush=True)
                    with results.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(entry) + "\n")
    finally:
        processes.end_all()


def read(results: Path) -> list[dict[str, Any]]:
    """All that was measured, an entry for each specimen and target."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for line in results.read_text(encoding="utf-8").splitlines() if results.exists() else ():
        entry = json.loads(line)
        found.setdefault((entry["specimen"], entry["target"]), {}).update(entry)
    return list(found.values())


def _silent(_release: str, _text: str) -> None:
    """Nobody follows the progress."""


def _converted(
    specimen: Specimen, target: str, custom_objects: Path | None, processes: ReusedProcesses
) -> dict[str, Any]:
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        request = Request(
            specimen.path, target, Path(), custom_objects=custom_objects, model=specimen.model,
            trust="lambda" in specimen.needs,
        )  # fmt: skip
        output = Path(folder) / default_output(request)
        if specimen.format == "checkpoint":  # a SavedModel has no optimizer of a module
            output = output.with_name(f"{output.name}.ckpt")
        request = replace(request, output=output)
        with started() if not specimen.is_keras else nullcontext(processes) as used:
            document = report.document(convert(request, used, _silent))
    return {**{key: document[key] for key in _KEPT}, "seconds": round(time.monotonic() - began, 1)}


def _plain(specimen: Specimen, target: str, custom_objects: Path | None, processes: ReusedProcesses) -> dict[str, Any]:
    """What plain loading gives: ``model``, ``weights``, ``function`` or ``nothing``."""
    process = processes.begin(Wanted(target), "plain", _silent)
    given = {
        "path": str(specimen.path),
        "architecture": specimen.architecture_file,
        "custom_objects": None if custom_objects is None else str(custom_objects),
    }  # fmt: skip
    try:
        found = process.kernel.run(
            f"{PLAIN}\nfound = plain(**given)", inputs={"given": given}, outputs={"found": "found"}, timeout=120,
            show=lambda _: None, store_history=False,
        )["found"]  # fmt: skip
    except TFKernelsError:
        found = "nothing"
    return {"plain": found}
