"""One TensorFlow in an environment: requirements for its other distributions and for other versions.

While the user's requirements are resolved, an empty wheel stands in for each of its other distributions, in the version
of the pinned one. See docs/design/environments.md.
"""

import contextlib
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tfprovisioner.catalogue import releases
from tfprovisioner.catalogue.releases import PARTS, TENSORFLOWS
from tfprovisioner.requirements.lines import LIMIT, holding, of_the_line


@contextlib.contextmanager
def stand_ins(versions: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Requirements, by name, of empty wheels in place of the other distributions of a TensorFlow."""
    with tempfile.TemporaryDirectory() as folder:
        yield {
            name: f"{name} @ {_empty_wheel(folder, name, version).as_uri()}"
            for name, version in siblings_of(versions).items()
        }


def meaning_the_line(line: str) -> str:
    """A line of the user's in which ``tensorflow==1.15`` is ``tensorflow==1.15.*``."""
    limit = LIMIT if line.startswith(LIMIT) else ""
    requirement = Requirement(line.removeprefix(LIMIT))
    if canonicalize_name(requirement.name) not in TENSORFLOWS:
        return line
    requirement.specifier = SpecifierSet(",".join(str(of_the_line(part)) for part in requirement.specifier))
    return f"{limit}{requirement}"


def siblings_of(versions: Mapping[str, str]) -> dict[str, str]:
    """The distributions of TensorFlow that must not be installed beside the pinned one, with its version."""
    present = next((name for name in TENSORFLOWS if name in versions), None)
    if present is None:
        return {}
    allowed = {*versions, *(PARTS if present == "tensorflow" else ())}
    return {name: versions[present] for name in TENSORFLOWS if name not in allowed}


def redundant(extras: Iterable[str], versions: Mapping[str, str], python: str) -> Iterator[str]:
    """Notes on requirements that the environment's TensorFlow fulfils, in its other form."""
    siblings = siblings_of(versions)
    present = next((name for name in TENSORFLOWS if name in versions), "")
    for line, name, requirement in holding(extras, python):
        if name in siblings:
            gpus = present == "tensorflow-cpu" and (name == "tensorflow-gpu" or requirement.extras)
            more = "; for GPUs use --gpu" if gpus else ""
            yield f"{line!r} adds nothing: TensorFlow is there already, as {present} {siblings[name]}{more}"


def _empty_wheel(folder: str, name: str, version: str) -> Path:
    stem = f"{name.replace('-', '_')}-{version}"
    path = Path(folder) / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{stem}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{stem}.dist-info/RECORD", "")
    return path


def others(lines: Iterable[str], versions: Mapping[str, str], python: str) -> dict[str, str]:
    """The lines that hold for a Python and ask for another TensorFlow, or limit it; each with the cause of its refusal.

    ``versions`` has the distributions of TensorFlow that get installed.
    """
    versions = {**versions, **siblings_of(versions)}
    found = {}
    for line in lines:
        for _, name, requirement in holding([line.removeprefix(LIMIT)], python):
            if name not in versions:
                continue
            # A wheel by its address may be anything, and no release is a nightly one.
            if requirement.url or name == "tf-nightly" or not requirement.specifier.contains(versions[name], True):
                known = {other.version for other in releases.releases()} | releases.lines().keys()
                wanted = str(requirement.specifier).removeprefix("==").removesuffix(".*")
                command = f"tfkernels install {wanted}" if wanted in known else "tfkernels releases"
                found[line] = (
                    f"this environment already has TensorFlow {versions[name]}, and it can hold only one. Make a "
                    f"kernel of the other release: {command}"
                )
    return found
