"""One conversion: load in the old release, rebuild and save in the new one, run both, compare.

The processes take turns, so that the model is in memory in two of them at most: the old one ends before the new file
is opened for the proof, in a process that knows nothing but that file.
"""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfkernels.errors import TFKernelsError
from tfkernels.saved_models.read import read
from tfprovisioner.catalogue.releases import order_of
from tfprovisioner.conversion import inputs, kernels, proof, source_releases
from tfprovisioner.conversion.inputs import Batch
from tfprovisioner.conversion.kernels import Wanted
from tfprovisioner.conversion.process import Processes, ReleaseProcess, StepFailed, Tell
from tfprovisioner.conversion.result import Conversion, Problem
from tfprovisioner.errors import ProvisionError, Unusable


@dataclass(frozen=True)
class Request:
    """What the user asks for."""

    file: Path
    to: str
    output: Path
    source: str | None = None
    """The release that loads the file, if the user chose it."""
    custom_objects: Path | None = None
    model: str | None = None
    """``file.py:function`` that builds the model, or a file with its architecture."""
    inputs: Path | None = None
    rtol: float | None = None
    atol: float | None = None
    trust: bool = False
    timeout: float = 300.0
    overwrite: bool = False


@dataclass(frozen=True)
class Loaded:
    """The model as the old release has it."""

    process: str
    release: str
    record: Mapping[str, Any]
    batches: tuple[Batch, ...]
    values: Mapping[str, Any]
    """By the names of the batches."""


def convert(request: Request, processes: Processes, tell: Tell) -> Conversion:
    """Converts a file. What stands in the way of it is in the result; raises ``Unusable`` for wrong arguments."""
    check(request)
    result = Conversion(request.file, kernels.version(request.to))
    with tempfile.TemporaryDirectory(prefix=".tfkernels-", dir=request.output.absolute().parent) as folder:
        made = Path(folder) / request.output.name
        try:
            new = processes.begin(Wanted(request.to), "new", tell)
            bring(load(request, result, processes, tell), request, result, made, new, processes, tell)
        except StepFailed as error:
            result.problem = Problem(str(error), error.layer, error.advice, error.details)
        except (ProvisionError, TFKernelsError) as error:
            result.problem = Problem(str(error))
        if result.problem is None:
            _put(made, request.output)
            result.output = request.output
    return result


def check(request: Request) -> None:
    """Raises ``Unusable`` for files that are missing, or in the way."""
    if request.output.exists() and not request.overwrite:
        raise Unusable(f"Cannot write {request.output}: it exists. Name another file with -o, or add --overwrite.")
    if not request.output.absolute().parent.is_dir():
        raise Unusable(f"Cannot write {request.output}: the folder {request.output.parent} does not exist. Make it.")
    if not request.file.exists() and not request.file.with_name(f"{request.file.name}.index").exists():
        raise Unusable(f"Cannot read {request.file}: it does not exist. Correct the path.")
    for option, path in (("--custom-objects", request.custom_objects), ("--inputs", request.inputs)):
        if path is not None and not path.is_file():
            raise Unusable(f"Cannot read {option} {path}: it does not exist. Correct the path.")


def load(request: Request, result: Conversion, processes: Processes, tell: Tell) -> Loaded:
    """Loads the file in the old release, and runs the model. Raises ``StepFailed``, ``ProvisionError``."""
    saved = read(request.file)
    result.format, result.written_by = saved.format, str(saved.written_by)
    old = _first_that_loads(request, saved, result, processes, tell)
    result.source = old.release
    record = old.call("record")
    tell(old.release, "running the model")
    values = _values_of(old, _batches(request, record), record)
    result.seconds["old"] = old.seconds
    processes.end(old)
    return Loaded(str(old), old.release, record, tuple(batch for batch, _ in values), {b.name: v for b, v in values})


def bring(
    loaded: Loaded, request: Request, result: Conversion, made: Path, new: ReleaseProcess, processes: Processes,
    tell: Tell,
) -> None:  # fmt: skip
    """Rebuilds the model in the new release, saves it as ``made``, and compares. Raises ``StepFailed``."""
    result.batches = [batch.name for batch in loaded.batches]
    tell(new.release, "rebuilding and saving the model")
    custom_objects = _text(request.custom_objects)
    built = new.call("rebuild", record=loaded.record, path=str(made), custom_objects=custom_objects)
    result.optimizer, result.became = built["optimizer"], "a Keras model"
    result.changes = built["changes"]
    processes.end(new)
    last = processes.begin(Wanted(request.to), "proof", tell)
    tell(last.release, "opening the new file, and running the model")
    last.call("open", path=str(made), custom_objects=custom_objects)
    found = {batch.name: last.call("run", inputs=dict(batch.arrays)) for batch in loaded.batches}
    processes.end(last)
    result.seconds["new"] = new.seconds + last.seconds
    names = (loaded.process, str(last) if str(last) != loaded.process else f"{last}, new file")
    result.proof = proof.compared(loaded.values, found, names, request.rtol, request.atol)


def default_output(file: Path, to: str) -> Path:
    """The new file's path if the user names none: in the current folder, and in the target's best format."""
    release = kernels.version(to)
    return Path(f"{file.stem}-{release}{'.keras' if order_of(release) >= (2, 13) else '.h5'}")


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())


def _first_that_loads(
    request: Request, saved: Any, result: Conversion, processes: Processes, tell: Tell
) -> ReleaseProcess:
    """A process of the first release that loads the file. Raises what the best one said if none does."""
    chosen = [Wanted(request.source)] if request.source else None
    candidates = chosen or source_releases.of(saved.written_by.tensorflow, kernels.is_ready)
    problems: list[StepFailed | ProvisionError] = []
    for wanted in candidates:
        process = None
        try:
            process = processes.begin(wanted, "old", tell)
            tell(process.release, f"loading {request.file.name}")
            process.call(
                "load", request.timeout, path=str(request.file.absolute()), model=request.model,
                custom_objects=_text(request.custom_objects), trust=request.trust,
            )  # fmt: skip
        except (StepFailed, ProvisionError) as error:
            problems.append(error)
            if process is not None:
                processes.end(process)
            result.attempts.append((kernels.version(wanted.release), str(error)))
            continue
        return process
    if len(problems) == 1:
        result.attempts.clear()  # it is the problem itself
    raise problems[0]


def _batches(request: Request, record: Mapping[str, Any]) -> Callable[[int], list[Batch]]:
    if request.inputs is not None:
        batches = inputs.given(request.inputs, record["inputs"])
        return lambda _: batches
    known = inputs.ranges(record.get("config"), record["weights"])
    return lambda free: list(inputs.draw(record["inputs"], known, free))


def _values_of(
    process: ReleaseProcess, batches: Callable[[int], list[Batch]], record: Mapping[str, Any]
) -> list[tuple[Batch, Any]]:
    """The values of each batch. Sizes that the model leaves open grow until it takes them."""
    is_open = any(size is None for spec in record["inputs"] for size in (spec["shape"] or ())[1:])
    *smaller, largest = inputs.FREE_SIZES if is_open else inputs.FREE_SIZES[:1]
    for size in smaller:
        try:
            return [(batch, process.call("run", inputs=dict(batch.arrays))) for batch in batches(size)]
        except StepFailed:
            continue
    return [(batch, process.call("run", inputs=dict(batch.arrays))) for batch in batches(largest)]


def _put(made: Path, output: Path) -> None:
    """Moves the new file to its place, in one step; a folder that is there goes first."""
    if output.is_dir():
        shutil.rmtree(output)
    made.replace(output)
