"""What comes of a run: progress, outcome and files. An executed notebook has the outcome in its metadata."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import UnionType
from typing import Any, TypeVar, get_origin, get_type_hints

from tfprovisioner.batch.tasks import Run

T = TypeVar("T", bound="Run | Failure | Outcome")

PASSED, FAILED = "passed", "failed"

_COLOURS = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?)")

OUTCOME = "outcome"
"""The outcome's key among what tfkernels writes into an executed notebook's metadata."""


class Cancelled(Exception):
    """A run was stopped before its end; its kernel is gone."""


@dataclass(frozen=True)
class Progress:
    """What a run does at the moment."""

    run: str
    """``Run.name``; empty for a note on the whole batch."""
    state: str
    """``"preparing"`` (building the environment), ``"running"``, or ``"note"``: of a run, that it starts again."""
    cell: int = 0
    """The running cell, from 1."""
    cells: int = 0
    text: str = ""
    """The first line of the cell, the step of the build, or the note."""
    host: str = ""


@dataclass(frozen=True)
class Failure:
    """Why a run failed."""

    kind: str
    """The exception's name; ``KernelDied``, ``CellTimeout``, ``KernelMissing``, … if no cell raised it."""
    message: str
    cell: int | None = None
    """The cell's position among all cells of the executed notebook, from 0."""
    traceback: str = ""
    """Without colours."""


@dataclass(frozen=True)
class Outcome:
    """The facts of a run that has ended, without recorded values: those are in its notebook's outputs."""

    run: Run
    state: str
    """``"passed"`` or ``"failed"``."""
    fingerprint: str
    """See ``tasks.fingerprint``."""
    tensorflow: str = ""
    python: str = ""
    lock: str = ""
    """SHA-256 of the environment's lock; empty for an environment of the user's."""
    started: str = ""
    """ISO 8601 in UTC."""
    seconds: float = 0.0
    host: str = ""
    """The machine that executed it."""
    attempts: int = 1
    """More than 1 after workers died."""
    failure: Failure | None = None
    exit_code: int | None = None
    """Of a script; a negative number is the signal that ended it."""

    @property
    def passed(self) -> bool:
        return self.state == PASSED

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Outcome":
        """The reverse of ``to_json``. Raises ``TypeError`` and ``KeyError``: the file may be anybody's."""
        run, failure = _checked(Run(**content["run"])), content.get("failure")
        failed = None if failure is None else _checked(Failure(**failure))
        return _checked(cls(**{**content, "run": run, "failure": failed}))


@dataclass(frozen=True)
class Executed:
    """Outcome and files of a task."""

    outcome: Outcome
    notebook: str
    """The executed notebook: its JSON, the outcome in its metadata."""
    values: Mapping[str, bytes] = field(default_factory=dict)
    """Large recorded values by the SHA-256 of their bytes."""
    files: bytes | None = None
    """A zip archive of the files that the run wrote into its fresh folder."""
    checked: bool | None = None
    """The truth of ``Task.check``; ``None`` if it was not evaluated."""


def duration(seconds: float | str) -> str:
    """``12.3 s``, ``2 min 5 s`` or ``1 h 7 min``; of text, too, which NaN is in ``report.json``."""
    seconds = float(seconds)
    if not seconds >= 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(min(seconds, 1e9)), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"


def without_colours(text: str) -> str:
    """``text`` without the control sequences of a terminal."""
    return _COLOURS.sub("", text)


def _checked(made: T) -> T:
    """Raises ``TypeError`` if a field has a value of another type."""
    for name, hint in get_type_hints(type(made)).items():
        expected = hint if isinstance(hint, UnionType) else get_origin(hint) or hint
        if not isinstance(getattr(made, name), (int, float) if expected is float else expected):
            raise TypeError(f"{name} of {type(made).__name__} is {getattr(made, name)!r}")
    return made
