"""Graphs: run by the old release's loader, wrapped as a module of the new one, and run there."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfprovisioner.conversion import proof
from tfprovisioner.conversion.inputs import Batch
from tfprovisioner.conversion.keras_route import run
from tfprovisioner.conversion.optimizer_proof import continued
from tfprovisioner.conversion.process import Processes, ReleaseProcess, Tell
from tfprovisioner.conversion.request import Request
from tfprovisioner.conversion.result import Conversion


@dataclass(frozen=True)
class Loaded:
    """The graph as the old release runs it."""

    process: str
    opened: Mapping[str, Any]
    batches: tuple[Batch, ...]
    values: Mapping[str, Any]


def load(old: ReleaseProcess, request: Request, tell: Tell) -> Loaded:
    """Opens the graph, and runs it. Raises ``StepFailed``."""
    opened = old.call("graphs.open_graph", request.timeout, **_which(request))
    tell(old.release, "running the graph")
    values = run(old, "graphs.run_graph", opened["inputs"], request, {}, layers=opened["layers"])
    return Loaded(str(old), opened, tuple(batch for batch, _ in values), {batch.name: value for batch, value in values})


def bring(
    loaded: Loaded, request: Request, result: Conversion, made: Path, new: ReleaseProcess, processes: Processes,
    tell: Tell,
) -> None:  # fmt: skip
    """Saves the graph as ``made`` in the new release, runs it, and compares. Raises ``StepFailed``."""
    result.batches = [batch.name for batch in loaded.batches]
    tell(new.release, "wrapping and saving the graph")
    new.call("graphs.open_graph", **_which(request))
    saved = new.call("graphs.save_graph", output=str(made))
    result.became = f"a SavedModel ({saved['way']}), with {len(saved['trainable'])} trainable variables"
    result.notes = [f"load it with: {choice.replace(str(made.parent), str(request.output.parent))}"
                    for choice in saved["choices"]]  # fmt: skip
    result.notes += saved["remarks"]
    brought = saved["optimizer"]
    found = None if brought is None or brought["why_not"] else new.call("graphs.saved_optimizer", **brought)
    result.optimizer = continued(brought, found)
    tell(new.release, "running the new file")
    layers = loaded.opened["layers"]
    values = {batch.name: new.call("graphs.run_saved", inputs=dict(batch.arrays), layers=layers)
             for batch in loaded.batches}  # fmt: skip
    result.seconds["new"] = new.seconds
    processes.end(new)
    names = (loaded.process, str(new) if str(new) != loaded.process else f"{new}, new file")
    result.proof = proof.compared(loaded.values, values, names, request.rtol, request.atol)


def _which(request: Request) -> dict[str, Any]:
    return {
        "path": str(request.file.absolute()), "signature": request.signature, "tags": list(request.tags) or None,
        "outputs": list(request.outputs), "ema": request.ema, "trust": request.trust,
    }  # fmt: skip
