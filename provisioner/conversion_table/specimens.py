"""Specimens of saved models, and what is known of each."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conversion_table.making import GIVEN_MODELS
from tfprovisioner.catalogue.releases import order_of

COMPANION = "architecture-json"
"""No specimen: the architecture of a file with weights alone."""

WEIGHTS_ALONE = ("weights-h5", "weights-h5-legacy", "weights-checkpoint")

FORGOTTEN = {("1.4", "convolutions")}
"""Architectures with settings that a line of releases does not write. Only a function can build them again."""


@dataclass(frozen=True)
class Specimen:
    """One saved model."""

    release: str
    architecture: str
    format: str
    path: Path
    needs: tuple[str, ...]
    inputs: Path
    optimizer: str
    model: str | None
    """What ``--model`` gets, if the file does not tell the whole architecture."""
    architecture_file: str | None
    """The architecture of weights alone, for plain loading."""

    @property
    def is_keras(self) -> bool:
        """False for graphs. They need fresh processes: functions in them have names that others have, too."""
        return self.architecture not in ("graph", "module") and self.format not in ("export", "exported")

    @property
    def name(self) -> str:
        return f"{self.release} {self.architecture} {self.format}"


def read(folder: Path) -> list[Specimen]:
    """All specimens below a folder, by release."""
    found: list[Specimen] = []
    for index in folder.glob("*/index.json"):
        entries: Sequence[dict[str, Any]] = json.loads(index.read_text(encoding="utf-8"))
        beside = {one["architecture"]: Path(one["path"]) for one in entries if one["format"] == COMPANION}
        for entry in entries:
            if entry["format"] == COMPANION:
                continue
            architecture, line = entry["architecture"], ".".join(entry["release"].split(".")[:2])
            by_function = entry["format"] == "checkpoint" or (line, architecture) in FORGOTTEN
            beside_it = str(beside[architecture]) if entry["format"] in WEIGHTS_ALONE else None
            found.append(
                Specimen(
                    entry["release"], entry["architecture"], entry["format"], Path(entry["path"]),
                    tuple(entry["needs"]), Path(entry["inputs"]), entry["optimizer"],
                    f"{GIVEN_MODELS}:{architecture}" if by_function else beside_it, beside_it,
                )
            )  # fmt: skip
    return sorted(found, key=lambda one: (order_of(one.release), one.format, one.architecture))
