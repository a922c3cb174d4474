"""What the user asks ``tfkernels convert`` for."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfprovisioner.errors import Unusable

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class Request:
    """A conversion. Paths are relative to the current folder."""

    file: Path
    """A file, a folder, or the prefix of a checkpoint."""
    to: str
    output: Path
    """The new file; empty until it is known."""
    source: str | None = None
    """The release that loads the file, if the user chose it."""
    as_graph: bool = False
    """Whether a SavedModel that has a Keras model is treated as a graph."""
    custom_objects: Path | None = None
    model: str | None = None
    """``FILE.py:FUNCTION`` that builds the model, or a file with its architecture."""
    map: Path | None = None
    ema: bool = False
    signature: str | None = None
    tags: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    inputs: Path | None = None
    rtol: float | None = None
    atol: float | None = None
    trust: bool = False
    timeout: float = 300.0
    overwrite: bool = False

    @property
    def has_function(self) -> bool:
        """Whether the user gives a function that builds the model."""
        return self.model is not None and self.model.rpartition(":")[0].endswith(".py")

    @property
    def model_argument(self) -> str | None:
        """The same with an absolute path: the kernels run elsewhere."""
        if self.model is None:
            return None
        file, colon, function = self.model.rpartition(":") if self.has_function else (self.model, "", "")
        return f"{Path(file).absolute()}{colon}{function}"

    @property
    def custom_objects_argument(self) -> str | None:
        return None if self.custom_objects is None else str(self.custom_objects.absolute())

    @property
    def rules(self) -> Mapping[str, Any]:
        """The content of ``map``. Raises ``Unusable``."""
        if self.map is None:
            return {}
        try:
            with self.map.open("rb") as file:
                return tomllib.load(file)
        except (OSError, ValueError) as error:
            raise Unusable(f"Cannot read --map {self.map}: {error}. Correct the file.") from error

    def check(self) -> None:
        """Raises ``Unusable`` for files that are missing, or in the way."""
        index = self.output.with_name(f"{self.output.name}.index") if self.output.name else self.output
        for written in (self.output, index):  # a checkpoint has the second one
            if written.exists() and not self.overwrite:
                raise Unusable(f"Cannot write {written}: it exists. Name another file with -o, or add --overwrite.")
        if self.output.is_dir() and not (self.output / "saved_model.pb").is_file():
            raise Unusable(
                f"Cannot write {self.output}: it is a folder, and no SavedModel. Name a file with -o, as in "
                f"{self.output / 'new_model.keras'}."
            )
        if not self.output.absolute().parent.is_dir():
            raise Unusable(f"Cannot write {self.output}: there is no folder {self.output.parent}. Make it first.")
        if not os.access(self.output.absolute().parent, os.W_OK):
            raise Unusable(f"Cannot write {self.output}: its folder is read-only for you. Name another file with -o.")
        if not self.file.exists() and not self.file.with_name(f"{self.file.name}.index").exists():
            raise Unusable(f"Cannot read {self.file}: it does not exist. Correct the path.")
        model = None if self.model is None else Path(self.model.rpartition(":")[0] if self.has_function else self.model)
        options = {
            "--custom-objects": self.custom_objects,
            "--inputs": self.inputs,
            "--model": model,
            "--map": self.map,
        }
        for option, path in options.items():
            if path is not None and not path.exists():
                raise Unusable(f"Cannot read {option} {path}: it does not exist. Correct the path.")
