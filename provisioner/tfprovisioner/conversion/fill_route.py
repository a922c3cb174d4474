"""Weights by name into a model that the user gives, in the new release.

If the old file has its graph, both are run. Otherwise only the weights are compared, which the report says.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfprovisioner.conversion import graph_route, proof
from tfprovisioner.conversion.kernels import Wanted
from tfprovisioner.conversion.optimizer_proof import continued
from tfprovisioner.conversion.process import Processes, ReleaseProcess, StepFailed, Tell
from tfprovisioner.conversion.request import Request
from tfprovisioner.conversion.result import Conversion

NOT_RUN = "The old model was not run: {why} The proof is that every weight in the new file is equal to the old one."


@dataclass(frozen=True)
class Loaded:
    """The old graph's values, or why there are none."""

    graph: graph_route.Loaded | None
    why: str = ""


def load(old: ReleaseProcess, request: Request, tell: Tell) -> Loaded:
    """Runs the old graph, if the file has one."""
    try:
        return Loaded(graph_route.load(old, request, tell))
    except StepFailed as error:
        return Loaded(None, str(error))


def bring(
    loaded: Loaded, request: Request, result: Conversion, made: Path, new: ReleaseProcess, processes: Processes,
    tell: Tell,
) -> None:  # fmt: skip
    """Sets the weights of the user's model, saves it as ``made``, and compares. Raises ``StepFailed``."""
    tell(new.release, "building your model, and setting its weights")
    filled = new.call(
        "fill.fill", path=str(request.file.absolute()), function=request.model_argument, rules=request.rules,
        ema=request.ema,
    )  # fmt: skip
    if not filled["complete"]:
        raise StepFailed(
            f"{len(filled['missing'])} weights of your model find none in the file: "
            f"{', '.join(filled['missing'][:5])}.\n{filled['text']}",
            advice="Correct these rules, and give them with --map rules.toml:\n" + filled["rules"],
        )
    saved = new.call("fill.save", output=str(made))
    result.became = "your model with the old weights"
    result.matched = filled["matched"]
    result.notes = [f"load it with: {choice.replace(str(made.parent), str(request.output.parent))}"
                    for choice in saved["choices"]]  # fmt: skip
    result.seconds["new"] = new.seconds
    processes.end(new)
    last = processes.begin(Wanted(request.to), "proof", tell)
    tell(last.release, "opening the new file")
    found = last.call("fill.open_saved", output=str(made), function=request.model_argument)
    if filled["optimizer"] is None:
        result.optimizer = "; ".join(filled["remarks"])
    else:
        result.optimizer = continued(filled["optimizer"], found["optimizer"])
        result.notes += filled["remarks"]
    names = ("the old file", str(new)) if loaded.graph is None else (loaded.graph.process, str(new))
    if names[0] == names[1]:
        names = (names[0], f"{new}, new file")
    result.proof = proof.compared(*_values(loaded, request, result, last), names, request.rtol, request.atol)
    result.seconds["proof"] = last.seconds
    processes.end(last)


def _values(
    loaded: Loaded, request: Request, result: Conversion, last: ReleaseProcess
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """What is compared: the outputs of both on each batch, else their weights."""
    if loaded.graph is None:
        result.notes.append(NOT_RUN.format(why=loaded.why))
        pairs = [(one["target"], one["source"]) for one in result.matched]
        equal = last.call("fill.weights_of_both", path=str(request.file.absolute()), pairs=pairs, ema=request.ema)
        return {"weights": equal["old"]}, {"weights": equal["new"]}
    result.batches = [batch.name for batch in loaded.graph.batches]
    outputs = [output["name"] for output in loaded.graph.opened["outputs"]]
    old = {name: {"output": _one_or_all([values[output] for output in outputs])}
           for name, values in loaded.graph.values.items()}  # fmt: skip
    found = {}
    for batch in loaded.graph.batches:
        values = last.call("fill.run", inputs=dict(batch.arrays))
        found[batch.name] = {"output": _one_or_all(list(values.values()))}
    return old, found


def _one_or_all(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else values
