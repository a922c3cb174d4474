"""uv's resolution of requirements: a lock, with the hashes of all files of each pin."""

import re
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from tfprovisioner.catalogue import locks, metadata
from tfprovisioner.catalogue.releases import TENSORFLOWS, Release
from tfprovisioner.requirements.lines import holding, name_of
from tfprovisioner.resolution.source_builds import SourceBuilds
from tfprovisioner.system import uv
from tfprovisioner.system.uv import UvFailed


class NoSolution(UvFailed):
    """No versions of the required packages go together."""

    strict: "NoSolution | None" = None
    """The refusal of the verified versions, that was before this one."""


class NotInIndex(NoSolution):
    """The index lacks a package, or a version of it."""


def resolve(
    requirements: Iterable[str],
    constraints: Iterable[str],
    overrides: Iterable[str],
    options: Iterable[str],
    folder: Path,
    say: Callable[[str], None],
    builds: SourceBuilds,
    settings: uv.Settings | None = None,
    preferred: str = "",
) -> str:
    """The lock that uv finds for requirements; where there is a choice, the versions of the lock ``preferred``.

    ``settings`` are further ones of uv's. Scratch files go to ``folder``.
    Raises ``NoSolution``, ``BadRequirement``, ``BuildFailed``.
    """
    project, resolved = folder / "pyproject.toml", folder / "resolved.txt"
    limiting = {"constraint-dependencies": list(constraints), "override-dependencies": list(overrides)}
    own = {**limiting, "dependency-metadata": metadata.entries()}
    try:
        project.write_text(uv.project_of(requirements), encoding="utf-8")
        resolved.write_text(preferred, encoding="utf-8")
        arguments = ["pip", "compile", "--quiet", "--generate-hashes", "--no-header", "--no-annotate", *options]
        # A uv.toml may ask for the index in the lock, and with it perhaps for a password.
        arguments += ["--no-emit-index-url", "--no-emit-find-links", "--no-emit-index-annotation"]
        arguments += [str(project), "--output-file", str(resolved)]
        builds.run(arguments, folder, say, {**own, **(settings or {})})
        return resolved.read_text(encoding="utf-8")
    except UvFailed as error:
        words = " ".join(error.output.split())  # uv breaks its lines where it likes
        if "No solution found" not in words or re.search(uv.UNREACHABLE, words):
            raise
        raise (NotInIndex if re.search(uv.NOT_IN_INDEX, words) else NoSolution)(error.output) from error
    finally:
        project.unlink(missing_ok=True)
        resolved.unlink(missing_ok=True)


def require_published(release: Release, python: str) -> None:
    """Raises ``BuildFailed`` if the index has no TensorFlow of a release for a Python (minor version) on this machine.

    It is asked for TensorFlow alone, which takes a second at most, not the minutes until an environment could be made.
    """
    published(release.requirements, uv.for_python(None, python), python)


def published(requirements: Iterable[str], options: Iterable[str], python: str) -> dict[str, str]:
    """The version of TensorFlow in the index, of the required ones. Raises ``BuildFailed``."""
    alone = [requirement for requirement in requirements if name_of(requirement) in TENSORFLOWS]
    wheels = SourceBuilds({}, python)
    with tempfile.TemporaryDirectory() as folder:
        return pinned(resolve(alone, (), (), [*options, "--no-deps"], Path(folder), lambda _: None, wheels), python)


def holding_here(lock: str, python: str) -> str:
    """The lines of a lock that hold for a Python version on this machine, with their hashes."""
    lines, hashes = locks.split(lock)
    return locks.joined((line for line, _, _ in holding(lines, python)), hashes)


def pinned(lock: str, python: str) -> dict[str, str]:
    """Versions by normalized name, of the lines of a lock that hold for a Python version on this machine."""
    held = holding(locks.split(lock)[0], python)
    return {name: str(requirement.specifier).removeprefix("==") for _, name, requirement in held}
