"""What travels to where a run is executed, and what comes back: plain data, so that it can go to another machine."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tfprovisioner.batch.outcomes import Outcome
from tfprovisioner.batch.runs import Run


@dataclass(frozen=True)
class Task:
    """A run with all that it needs, the kernel's environment apart."""

    run: Run
    notebook: str
    """The input notebook: its JSON, without parameters."""
    fingerprint: str
    folder: str | None = None
    """Where it runs; ``None`` is a fresh private folder, made where it is executed."""
    inputs: bytes | None = None
    """A zip archive, unpacked into that fresh folder."""
    cell_timeout: float | None = None
    """Seconds that one cell may take."""
    kernel_timeout: float = 120.0
    """Seconds that the kernel may take to start."""
    check: str | None = None
    """An expression that the kernel evaluates after the last cell."""
    attempt: int = 1
    """Which try this is: more than the first if workers died."""
    inline: bool = False
    """Whether recorded values stay inside the notebook, however large: where files beside it cannot be written."""


@dataclass(frozen=True)
class Executed:
    """What came of a task."""

    outcome: Outcome
    notebook: str
    """The executed notebook: its JSON, the outcome in its metadata."""
    values: Mapping[str, bytes] = field(default_factory=dict)
    """Large recorded values by the SHA-256 of their bytes."""
    files: bytes | None = None
    """A zip archive of what the run wrote into its fresh folder."""
    checked: bool | None = None
    """Whether ``Task.check`` was true; ``None`` if it was not evaluated."""


@dataclass(frozen=True)
class Progress:
    """Something that is to be told of a run while it lasts."""

    run: str
    """``Run.name``; empty for what concerns no run in particular."""
    state: str
    """``"waiting"``, ``"preparing"`` (building the environment), ``"running"``, ``"ended"``, ``"note"``."""
    cell: int = 0
    """The cell that runs, from 1."""
    cells: int = 0
    text: str = ""
    """The first line of the cell, or what is being done."""
    host: str = ""


class Cancelled(Exception):
    """A run was stopped before its end; its kernel is gone."""


class Engine(Protocol):
    """What executes the tasks of a batch, and yields what came of them as it comes."""

    def run(self, tasks: Sequence[Task]) -> Iterator[Executed]: ...
