"""Makes specimens: each release saves its own, in a kernel that is registered or built for it."""

from collections.abc import Sequence
from pathlib import Path

from tfprovisioner.conversion import kernels
from tfprovisioner.conversion.kernels import Wanted
from tfprovisioner.conversion.process import ReleaseProcess

RELEASES = ("1.4", "1.12", "1.15", "2.0", "2.4", "2.11", "2.15", "2.21")
"""What the table is measured with: the first and last ones of their kind, and those that many people use."""

_MAKER = Path(__file__).parent / "specimen_maker"
CUSTOM_OBJECTS = _MAKER / "custom.py"
"""The specimens' own layers and functions."""

GIVEN_MODELS = _MAKER / "given_models.py"
"""Builds the models of specimens that do not tell all of them, each by the function of its architecture's name."""

_CELL = """
import sys
sys.path.append(_path)
from conversion_table.specimen_maker.make import make
_skipped = make(_folder)
"""


def make(folder: Path, releases: Sequence[str]) -> None:
    """Makes a folder of specimens for each release, and says what it could not save."""
    for release in releases:
        process = ReleaseProcess(kernels.get(Wanted(release), lambda step: print(step, flush=True)))
        try:
            made = process.kernel.run(
                _CELL, inputs={"_path": str(_MAKER.parents[1]), "_folder": str((folder / release).absolute())},
                outputs={"skipped": "_skipped"}, show=lambda _: None, store_history=False,
            )  # fmt: skip
        finally:
            process.end()
        print(release, "made;", len(made["skipped"]), "skipped", flush=True)
        for architecture, kind, why in made["skipped"]:
            print(f"  {architecture} {kind}: {why}", flush=True)
