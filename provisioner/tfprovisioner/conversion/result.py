"""What a conversion came to: plain data, from which the report is made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfprovisioner.conversion.proof import Proof

EQUAL, DIFFERENT, NOT_CONVERTED = "equal", "different", "not converted"

EXIT_CODES = {EQUAL: 0, NOT_CONVERTED: 1, DIFFERENT: 3}


@dataclass(frozen=True)
class Problem:
    """Why a file was not converted. ``layer`` stands in the way, if it is known, and ``advice`` would help."""

    message: str
    layer: str = ""
    advice: str = ""
    details: str = ""


@dataclass
class Conversion:
    """One conversion, filled while it goes on."""

    file: Path
    target: str
    """The exact release."""
    format: str = ""
    written_by: str = ""
    source: str = ""
    """The exact release that loaded the file."""
    output: Path | None = None
    """The new file, if there is one."""
    became: str = ""
    """What the new file holds, such as ``a Keras model``."""
    problem: Problem | None = None
    attempts: Sequence[tuple[str, str]] = ()
    """Releases that could not load the file, and why."""
    changes: Sequence[str] = ()
    """Settings of layers that were rewritten for the target, each with the reason why it computes the same."""
    matched: Sequence[Mapping[str, Any]] = ()
    """The weights of the user's model, each with its source in the file."""
    optimizer: str = ""
    """What became of the optimizer's state and step, in a sentence."""
    batches: list[str] = field(default_factory=list)
    """What both computed with."""
    proof: Proof | None = None
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def outcome(self) -> str:
        if self.problem is not None or self.proof is None:
            return NOT_CONVERTED
        return EQUAL if self.proof.passed else DIFFERENT

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.outcome]
