"""One environment has one TensorFlow: its other distributions count as there, and none is installed over it.

Most locks pin ``tensorflow-cpu``, and most packages ask for ``tensorflow``. So while extras are resolved, a wheel
without content stands in for each of the other distributions, in the version of the one that is pinned: what asks for
another version is told, and what asks for this one has it.
"""

import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from packaging.requirements import Requirement

from tfprovisioner.environments import markers
from tfprovisioner.environments.installed import PARTS, TENSORFLOWS, normalized


def siblings(pins: Mapping[str, str]) -> dict[str, str]:
    """The distributions of TensorFlow that are not to be installed beside the pinned one, with its version."""
    present = next((name for name in TENSORFLOWS if name in pins), None)
    if present is None:
        return {}
    allowed = {*pins, *(PARTS if present == "tensorflow" else ())}
    return {name: pins[present] for name in TENSORFLOWS if name not in allowed}


def stand_ins(versions: Mapping[str, str], folder: Path) -> list[str]:
    """Requirements that take the place of distributions while there is a lock to be found; written to ``folder``."""
    return [f"{name} @ {_wheel(folder, name, version).as_uri()}" for name, version in versions.items()]


def _wheel(folder: Path, name: str, version: str) -> Path:
    stem = f"{name.replace('-', '_')}-{version}"
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{stem}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{stem}.dist-info/RECORD", "")
    return path


def taken_out(lock: str, names: Iterable[str]) -> str:
    """A lock without the stand-ins."""
    pattern = "|".join(re.escape(name) for name in names)
    return re.sub(rf"(?m)^({pattern}) @ .*\n(?:[ \t]+.*\n)*", "", lock) if pattern else lock


def told(extras: Iterable[str], pins: Mapping[str, str], python: str) -> Iterator[str]:
    """What to say of requirements that a lock has fulfilled by the TensorFlow that is there, in its other form."""
    versions = siblings(pins)
    present = next((name for name in TENSORFLOWS if name in pins), "")
    for line in extras:
        requirement = Requirement(line)
        name = normalized(requirement.name)
        if name in versions and markers.holds(requirement, python):
            gpus = present == "tensorflow-cpu" and (name == "tensorflow-gpu" or requirement.extras)
            more = "; for GPUs say --gpu" if gpus else ""
            yield f"{line!r} adds nothing: TensorFlow is there already, as {present} {versions[name]}{more}"
