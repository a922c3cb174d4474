"""Keras models: recorded in the old release, rebuilt and saved in the new one, opened again for the proof."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfprovisioner.catalogue.releases import order_of
from tfprovisioner.conversion import inputs, proof
from tfprovisioner.conversion.inputs import Batch
from tfprovisioner.conversion.kernels import Wanted
from tfprovisioner.conversion.optimizer_proof import continued
from tfprovisioner.conversion.process import Processes, ReleaseProcess, StepFailed, Tell, TookTooLong
from tfprovisioner.conversion.request import Request
from tfprovisioner.conversion.result import Conversion


@dataclass(frozen=True)
class Loaded:
    """The model as the old release has it."""

    process: str
    record: dict[str, Any]
    notes: tuple[str, ...]
    batches: tuple[Batch, ...]
    values: Mapping[str, Any]
    """By the names of the batches."""

    def forget_arrays(self) -> None:
        """Frees their memory, which is as large as the model's."""
        self.record.pop("weights", None)
        self.record.pop("optimizer", None)


def check(output: Path, release: str) -> None:
    """Raises ``StepFailed`` if the target's Keras saves no file of this name."""
    if order_of(release) >= (2, 16) and not output.name.endswith((".keras", ".h5", ".hdf5")):
        raise StepFailed(
            f"Cannot write {output}: Keras 3 saves a model as .keras or .h5, and weights alone as .weights.h5.",
            advice="Name such a file with -o. For a SavedModel of the model's functions add --as-graph.",
        )


def load(old: ReleaseProcess, request: Request, tell: Tell) -> Loaded:
    """Loads the file, and runs the model. Raises ``StepFailed``."""
    found = old.call(
        "load", request.timeout, path=str(request.file.absolute()), model=request.model_argument,
        custom_objects=request.custom_objects_argument, trust=request.trust,
    )  # fmt: skip
    record = found["record"]
    tell(old.release, "running the model")
    values = run(old, "run", record["inputs"], request, inputs.ranges(record.get("config"), record["weights"]))
    batches = tuple(batch for batch, _ in values)
    return Loaded(str(old), record, tuple(found["notes"]), batches, {batch.name: value for batch, value in values})


def bring(
    loaded: Loaded, request: Request, result: Conversion, made: Path, new: ReleaseProcess, processes: Processes,
    tell: Tell,
) -> None:  # fmt: skip
    """Rebuilds the model in the new release, saves it as ``made``, and compares. Raises ``StepFailed``."""
    result.batches = [batch.name for batch in loaded.batches]
    tell(new.release, "rebuilding the model")
    given: dict[str, Any] = {"path": str(made), "custom_objects": request.custom_objects_argument}
    config = json.dumps(loaded.record["config"])
    result.became = "the weights of a Keras model" if made.name.endswith((".weights.h5", ".ckpt")) else "a Keras model"
    needs_record = not result.became.startswith("a ")
    keep = needs_record or processes.keeps_loaded
    forget = (lambda: None) if keep else loaded.forget_arrays
    built = new.hand_over("rebuild", forget, record=loaded.record, **given)
    tell(new.release, "saving the model")
    notes = [*built["notes"], *new.call("save", path=str(made))["notes"]]
    where = (str(made.parent), str(request.output.parent))
    result.changes, result.notes = built["changes"], [*loaded.notes, *(one.replace(*where) for one in notes)]
    result.seconds["new"] = new.seconds
    processes.end(new)
    last = processes.begin(Wanted(request.to), "proof", tell)
    tell(last.release, "opening the new file, and running the model")
    optimizer = last.call("open", record=loaded.record if needs_record else {}, **given)["optimizer"]
    result.optimizer = continued(built["optimizer"], optimizer)
    found = {
        batch.name: _time_first(last.call("run", inputs=dict(batch.arrays)), built["transposed"])
        for batch in loaded.batches
    }
    result.seconds["proof"] = last.seconds
    processes.end(last)
    names = (loaded.process, str(last) if str(last) != loaded.process else f"{last}, new file")
    result.proof = proof.compared(loaded.values, found, names, request.rtol, request.atol)
    if not result.proof.passed and request.rtol is None and "mixed_" in config:
        result.notes.append("Layers compute with 16 bits (mixed precision), and releases round otherwise: --rtol 1e-2")


def run(
    process: ReleaseProcess, step: str, specs: list[Mapping[str, Any]], request: Request,
    known: Mapping[str, inputs.Range], **more: Any,
) -> list[tuple[Batch, Any]]:  # fmt: skip
    """The values of each batch. Sizes that the model leaves open grow until it takes them. Raises ``StepFailed``."""

    def values_of(batches: list[Batch]) -> list[tuple[Batch, Any]]:
        return [(batch, process.call(step, request.timeout, inputs=dict(batch.arrays), **more)) for batch in batches]

    if request.inputs is not None:
        return values_of(inputs.given(request.inputs, specs))
    if not specs:
        raise StepFailed("The model does not say which inputs it takes.", advice="Give some with --inputs FILE.npz.")
    is_open = any(size is None for spec in specs for size in (spec["shape"] or ())[1:])
    *smaller, largest = inputs.FREE_SIZES if is_open else inputs.FREE_SIZES[:1]
    for size in smaller:
        try:
            return values_of(list(inputs.draw(specs, known, size)))
        except TookTooLong:
            raise
        except StepFailed:
            continue
    return values_of(list(inputs.draw(specs, known, largest)))


def _time_first(values: Mapping[str, Any], layers: Sequence[str]) -> dict[str, Any]:
    """The outputs with the time as first axis for ``layers``, as the old ones have it."""
    return {
        name: value.swapaxes(0, 1) if name in layers and getattr(value, "ndim", 0) > 1 else value
        for name, value in values.items()
    }
