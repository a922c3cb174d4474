"""From what is wanted to a lock: every package pinned and hashed."""

import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from packaging.requirements import Requirement

from tfprovisioner.catalogue import locks
from tfprovisioner.catalogue import pins as rules
from tfprovisioner.catalogue.releases import Release
from tfprovisioner.environments import conflicts, markers, provided
from tfprovisioner.environments import requirements as extras
from tfprovisioner.environments.installed import TENSORFLOWS, normalized
from tfprovisioner.environments.plan import Plan
from tfprovisioner.errors import BadRequirement, BuildFailed
from tfprovisioner.gpu import cuda
from tfprovisioner.system import uv


def lock(plan: Plan, python: Path, folder: Path, say: Callable[[str], None]) -> str:
    """The text of the lock for an environment whose interpreter is ``python``; scratch files go to ``folder``.

    It is the release's own, verified one. The user's extras are resolved together with its pins, and the pins win, but
    for what is there for notebooks only (``rules``). A release that is newer than the catalogue is resolved now, by the
    rules of the newest that it knows.
    Raises ``BadRequirement`` with what is in conflict, ``BuildFailed``.
    """
    release = plan.release
    verified = cuda.lock(release) if plan.recipe.gpu else release.lock
    if verified is not None and not plan.recipe.extras:
        return verified
    asked, limits = extras.divided(plan.recipe.extras)
    version = plan.interpreter.version
    pins = pinned(verified or "", version)
    if verified is None:
        wanted, constraints = list(release.requirements), list(release.constraints)
        if plan.recipe.gpu:
            others = [requirement for requirement in wanted if not requirement.startswith("tensorflow")]
            wanted = [*cuda.requirements(release), *others]
        if plan.recipe.extras:
            pins = _published(wanted, ["--python", str(python), *only_wheels(release)], version)
    else:
        replaced = _replaced([*asked, *limits], pins, release, version)
        constraints = [line for line in locks.split(verified)[0] if _name(line) not in replaced]
        wanted = [*constraints, *sorted(replaced)]
        pins = {name: version for name, version in pins.items() if name not in replaced}
    siblings = provided.siblings(pins) if plan.recipe.extras else {}
    pins |= siblings
    overrides = [*release.overrides, *(cuda.NEVER if plan.recipe.gpu else ())]
    options = ["--python", str(python), *only_wheels(release)]
    limiting = [line for line in limits if _name(line) in TENSORFLOWS]
    conflicts.check([*asked, *limiting], pins, release.version, version)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            wanted += provided.stand_ins(siblings, Path(scratch))
            text = resolve([*wanted, *asked], [*constraints, *limits], overrides, options, folder, say)
        return provided.taken_out(text, siblings)
    except BuildFailed as error:
        if not asked:
            raise
        reason = conflicts.explained(str(error), asked, pins, release.version, plan.interpreter.minor)
        raise error if reason is None else BadRequirement(reason) from error


def _replaced(lines: Iterable[str], pins: Mapping[str, str], release: Release, python: str) -> set[str]:
    """The packages that are asked for in other versions than the pinned ones, and may be had in them."""
    free = {_name(rule.requirement) for rule in rules.applying(rules.WITH, release.version) if rule.replaceable}
    requirements = [requirement for line in lines if markers.holds(requirement := Requirement(line), python)]
    others = {
        name
        for requirement in requirements
        if (name := normalized(requirement.name)) in pins
        and not requirement.specifier.contains(pins[name], prereleases=True)
    }
    return free & others


def _name(requirement: str) -> str:
    return normalized(Requirement(requirement).name)


def require_published(release: Release, python: str) -> None:
    """Raises ``BuildFailed`` if the index has no TensorFlow of a release for a Python (minor version) on this machine.

    It is asked for TensorFlow alone, which takes a second at most, not the minutes until an environment could be made.
    """
    options = ["--python", sys.executable, "--python-version", python, *only_wheels(release)]
    _published(release.requirements, options, python)


def _published(wanted: Iterable[str], options: Iterable[str], python: str) -> dict[str, str]:
    """The version of TensorFlow that the index has, of those that are wanted. Raises ``BuildFailed``."""
    alone = [requirement for requirement in wanted if _name(requirement) in TENSORFLOWS]
    with tempfile.TemporaryDirectory() as folder:
        return pinned(resolve(alone, (), (), [*options, "--no-deps"], Path(folder), lambda _: None), python)


def resolve(
    wanted: Iterable[str],
    constraints: Iterable[str],
    overrides: Iterable[str],
    options: Iterable[str],
    folder: Path,
    say: Callable[[str], None],
    settings: Iterable[str] = (),
    preferred: str = "",
) -> str:
    """The lock that uv finds for requirements; where there is a choice, the versions of the lock ``preferred``.

    ``settings`` are further lines for ``[tool.uv]``. Scratch files go to ``folder``. Raises ``BuildFailed``.
    """
    project, resolved = folder / "pyproject.toml", folder / "resolved.txt"
    try:
        project.write_text(
            "\n".join(
                [
                    '[project]\nname = "environment"\nversion = "0"',
                    f"dependencies = {json.dumps(list(wanted))}",
                    "[tool.uv]",
                    f"constraint-dependencies = {json.dumps(list(constraints))}",
                    f"override-dependencies = {json.dumps(list(overrides))}",
                    *settings,
                ]
            ),
            encoding="utf-8",
        )
        resolved.write_text(preferred, encoding="utf-8")
        arguments = ["pip", "compile", "--quiet", "--generate-hashes", "--no-header", "--no-annotate", *options]
        # A uv.toml may ask for the index in the lock, and with it perhaps for a password.
        arguments += ["--no-emit-index-url", "--no-emit-find-links", "--no-emit-index-annotation"]
        uv.run([*arguments, str(project), "--output-file", str(resolved)], folder, say)
        return resolved.read_text(encoding="utf-8")
    finally:
        project.unlink(missing_ok=True)
        resolved.unlink(missing_ok=True)


def pinned(lock: str, python: str) -> dict[str, str]:
    """Versions by normalized name, of the lines of a lock that hold for a Python version on this machine."""
    found: dict[str, str] = {}
    for line in locks.split(lock)[0]:
        requirement = Requirement(line)
        if markers.holds(requirement, python):
            found[normalized(requirement.name)] = str(requirement.specifier).removeprefix("==")
    return found


def only_wheels(release: Release) -> list[str]:
    """Options for uv: no setup code runs where a wheel exists; the exceptions are named in ``rules``."""
    exceptions = [word for package in release.build_from_source for word in ("--no-binary", package)]
    return ["--only-binary", ":all:", *exceptions]
