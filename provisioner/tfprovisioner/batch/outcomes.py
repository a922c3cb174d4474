"""What became of a run. An executed notebook says it of itself, in its metadata."""

import platform
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import UnionType
from typing import Any, TypeVar, get_origin, get_type_hints

from tfprovisioner.batch.runs import Run

T = TypeVar("T", bound="Run | Failure | Outcome")

PASSED, FAILED = "passed", "failed"

METADATA = "tfkernels"
"""Where an executed notebook's metadata have the outcome."""


@dataclass(frozen=True)
class Failure:
    """Why a run failed: what a cell raised, or what else went wrong."""

    kind: str
    """The exception's name; ``KernelDied``, ``CellTimeout``, ``KernelMissing``, … if no cell raised it."""
    message: str
    cell: int | None = None
    """The cell's position among all cells of the executed notebook, from 0."""
    traceback: str = ""
    """Without colours."""


@dataclass(frozen=True)
class Outcome:
    """What a run gave, without the values that it recorded: those are in its notebook's outputs."""

    run: Run
    state: str
    """``"passed"`` or ``"failed"``."""
    fingerprint: str
    """Equal for a run that would do the same: of the notebook, the kernel's environment and the parameters."""
    tensorflow: str = ""
    python: str = ""
    lock: str = ""
    """SHA-256 of what the environment was locked to; empty for an environment that is the user's."""
    started: str = ""
    """ISO 8601 in UTC."""
    seconds: float = 0.0
    host: str = ""
    """The machine that it ran on."""
    attempts: int = 1
    """More than one if workers died."""
    failure: Failure | None = None
    exit_code: int | None = None
    """Of a script; negative is the signal that ended it."""

    @property
    def passed(self) -> bool:
        return self.state == PASSED

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Outcome":
        """What ``to_json`` made of one. Raises ``TypeError``, ``KeyError``: anybody may have written it."""
        if not isinstance(content, Mapping):
            raise TypeError(f"an outcome is a mapping, not a {type(content).__name__}")
        failure = content.get("failure")
        made = cls(
            **{
                **content,
                "run": _checked(Run(**content["run"])),
                "failure": None if failure is None else _checked(Failure(**failure)),
            }
        )
        return _checked(made)


def host() -> str:
    """What this machine is called in outcomes."""
    return platform.node()


def plain(text: str) -> str:
    """Without colours."""
    return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)


def _checked(made: T) -> T:
    """Itself, if its texts are texts and its numbers numbers. Raises ``TypeError``."""
    for field, hint in get_type_hints(type(made)).items():
        expected = hint if isinstance(hint, UnionType) else get_origin(hint) or hint
        if not isinstance(getattr(made, field), (int, float) if expected is float else expected):
            raise TypeError(f"{field} of {type(made).__name__} is {getattr(made, field)!r}")
    return made
