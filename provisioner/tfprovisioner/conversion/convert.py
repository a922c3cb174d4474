"""One conversion: load in the old release, rebuild and save in the new one, run both, compare.

The processes take turns, so that the model is in memory in two of them at most: the old one ends before the new file
is opened for the proof, in a process that knows nothing but that file.
"""

import tempfile
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from tfkernels.conversion.graphs.graph_file import meta_file
from tfkernels.errors import ConversionError, TFKernelsError
from tfkernels.saved_models.read import read
from tfprovisioner.catalogue.releases import order_of
from tfprovisioner.conversion import fill_route, graph_route, keras_route, kernels, source_releases
from tfprovisioner.conversion.kernels import Wanted
from tfprovisioner.conversion.process import Processes, StepFailed, Tell
from tfprovisioner.conversion.request import Request
from tfprovisioner.conversion.result import Conversion, Problem
from tfprovisioner.errors import ProvisionError, Unusable

GRAPHS = ("frozen-graph", "meta-graph", "checkpoint-v1", "checkpoint-v2", "saved-model")
"""Formats that have, or can have, a graph."""

_NEEDS_MODEL = (
    "Write a function that builds the model (a Keras model, a tf.Module, or a dict of variables), and add --model "
    "FILE.py:FUNCTION."
)

_OTHER_CHOICE = {
    keras_route: "the SavedModel's signatures can be carried on as a loadable layer instead: add --as-graph",
    graph_route: "the SavedModel has a Keras model, too: leave out --as-graph to rebuild it",
}
"""What else a SavedModel of Keras can become."""


def convert(request: Request, processes: Processes, tell: Tell) -> Conversion:
    """Converts a file. What stands in the way of it is in the result; raises ``Unusable`` for wrong arguments."""
    request.check()
    result = Conversion(request.file, kernels.version(request.to))
    with tempfile.TemporaryDirectory(prefix=".tfkernels-", dir=request.output.absolute().parent) as folder:
        made = Path(folder) / "new" / request.output.name
        made.parent.mkdir()
        try:
            saved = read(request.file)
            result.format, result.written_by = saved.format, str(saved.written_by)
            way = route(saved, request)
            if way is keras_route:
                keras_route.check(request.output, result.target)
            new = processes.begin(Wanted(request.to), "new", tell)
            load = partial(_loaded, way, saved, request, processes, tell)
            loaded, result.source, result.attempts, result.seconds["old"] = processes.once((request.file, way), load)
            way.bring(loaded, request, result, made, new, processes, tell)
            if saved.format == "saved-model" and saved.architecture is not None and way in _OTHER_CHOICE:
                result.notes.append(_OTHER_CHOICE[way])
            _put(made.parent, request.output, request.overwrite)
            result.output = request.output
        except StepFailed as error:
            result.attempts = getattr(error, "attempts", result.attempts)
            result.problem = Problem(str(error), error.layer, error.advice, error.details)
        except (ProvisionError, TFKernelsError) as error:
            result.problem = Problem(str(error))
    return result


def route(saved: Any, request: Request) -> ModuleType:
    """How the file is converted: as a Keras model, as a graph, or by its weights alone.

    Raises ``StepFailed`` if it is a checkpoint, with neither a graph nor ``--model``.
    """
    if saved.format not in GRAPHS:
        return keras_route
    if saved.format.startswith("checkpoint") and request.model is None:
        try:
            meta_file(str(request.file))
        except ConversionError as error:
            raise StepFailed(str(error), advice=_NEEDS_MODEL) from error
    if saved.format.startswith("checkpoint") and request.model is not None:
        return keras_route if saved.written_by.package or not request.has_function else fill_route
    if request.model is not None:
        return fill_route
    return graph_route if request.as_graph or saved.architecture is None else keras_route


def default_output(request: Request) -> Path:
    """The new file's path if the user names none: in the current folder, and in the target's best format.

    It is a folder for what is no Keras model, or may be none.
    """
    release, file = kernels.version(request.to), request.file
    try:
        of_keras = route(read(file), request) is keras_route
    except (TFKernelsError, OSError):  # the conversion says what is wrong
        of_keras = file.suffix in (".h5", ".hdf5", ".keras")
    best = ".keras" if order_of(release) >= (2, 13) else ".h5"
    return Path(f"{file.name if file.is_dir() else file.stem}-{release}{best if of_keras else ''}")


Attempts = tuple[tuple[str, str], ...]


class NotLoaded(StepFailed):
    """No release loaded the file. It says what the best one said."""

    def __init__(self, attempts: Attempts, first: Exception) -> None:
        parts = (getattr(first, name, "") for name in ("layer", "advice", "details"))
        super().__init__(str(first), *parts)
        self.attempts = attempts if len(attempts) > 1 else ()


def _loaded(
    way: ModuleType, saved: Any, request: Request, processes: Processes, tell: Tell
) -> tuple[Any, str, Attempts, float]:
    """What the first release that loads the file made of it, that release, those that could not, and the seconds.

    Raises ``NotLoaded``.
    """
    chosen = [Wanted(request.source)] if request.source else None
    attempts: list[tuple[str, str]] = []
    first: Exception | None = None
    for wanted in chosen or source_releases.of(saved.written_by.tensorflow, kernels.is_ready):
        process = None
        try:
            process = processes.begin(wanted, "old", tell)
            tell(process.release, f"loading {request.file.name}")
            loaded = way.load(process, request, tell)
        except (StepFailed, ProvisionError) as error:
            first = first or error
            attempts.append((kernels.version(wanted.release), str(error)))
            if way is keras_route and not (request.custom_objects or request.model) and _needs_classes(saved):
                break  # no release has them
        else:
            return loaded, process.release, tuple(attempts), process.seconds
        finally:
            if process is not None:
                processes.end(process)
    assert first is not None
    raise NotLoaded(tuple(attempts), first)


def _needs_classes(saved: Any) -> bool:
    """Whether the user's own classes or functions are in the model. A graph has what they compute."""
    return any(not one.only_trains for one in saved.custom_objects)


def _put(made: Path, output: Path, overwrite: bool) -> None:
    """Moves what was made to its place, the new file last. Raises ``Unusable`` if something came there meanwhile."""
    paths = [path for path in made.iterdir() if path.name != "checkpoint"]  # which file of a folder is the newest
    if not overwrite:
        for target in (output.with_name(path.name) for path in paths):
            if target.exists():
                raise Unusable(f"Cannot write {target}: it exists. Name another file with -o, or add --overwrite.")
    for path in sorted(paths, key=lambda path: path.name == output.name):
        target = output.with_name(path.name)
        if target.is_dir():
            target.rename(made.parent / f"before-{path.name}")
        path.replace(target)
