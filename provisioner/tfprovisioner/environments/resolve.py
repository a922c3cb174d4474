"""From requirements to a lock: every package pinned and hashed. Says which requirement met which pin.

One environment has one TensorFlow. While the user's requirements are resolved, an empty wheel stands in for each of its
other distributions, in the version of the pinned one. See docs/design/environments.md.
"""

import json
import re
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from packaging.requirements import Requirement

from tfprovisioner.catalogue import locks, pins
from tfprovisioner.catalogue.releases import Release
from tfprovisioner.environments.installed import PARTS, TENSORFLOWS, normalized
from tfprovisioner.environments.request import InstallRequest
from tfprovisioner.environments.requirements import divided, holds, name_of
from tfprovisioner.errors import BadRequirement
from tfprovisioner.gpu import cuda
from tfprovisioner.pythons.choose import Interpreter
from tfprovisioner.system import uv
from tfprovisioner.system.uv import UvFailed


def lock(
    request: InstallRequest, interpreter: Interpreter, python: Path, folder: Path, say: Callable[[str], None]
) -> str:
    """The text of the lock for an environment whose interpreter is ``python``; scratch files go to ``folder``.

    It is the release's own, verified one. The user's requirements are resolved together with its pins, and the pins
    win, except those marked as replaceable. A release that is newer than the catalogue is resolved by the rules of the
    newest known one. Raises ``BadRequirement`` with the conflict, ``BuildFailed``.
    """
    release, verified = request.catalogue_entry, request.verified_lock
    if verified is not None and not request.extras:
        return verified
    version = interpreter.version
    asked, limits = divided(sorted(request.extras))
    options = ["--python", str(python), *only_wheels(release)]
    pinned_versions = pinned(verified or "", version)
    if verified is None:
        requirements, constraints = list(release.requirements), list(release.constraints)
        if request.gpu:
            others = [requirement for requirement in requirements if not requirement.startswith("tensorflow")]
            requirements = [*cuda.requirements(release), *others]
        if request.extras:
            pinned_versions = _published(requirements, options, version)
    else:
        replaced = _replaced([*asked, *limits], pinned_versions, release, version)
        constraints = [line for line in locks.split(verified)[0] if name_of(line) not in replaced]
        requirements = [*constraints, *sorted(replaced)]
        pinned_versions = {name: pin for name, pin in pinned_versions.items() if name not in replaced}
    siblings = siblings_of(pinned_versions) if request.extras else {}
    pinned_versions |= siblings
    overrides = [*release.overrides, *(cuda.NEVER if request.gpu else ())]
    limiting = [line for line in limits if name_of(line) in TENSORFLOWS]
    check([*asked, *limiting], pinned_versions, release.version, version)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            stand_ins = [f"{name} @ {_empty_wheel(scratch, name, pin).as_uri()}" for name, pin in siblings.items()]
            text = resolve(
                [*requirements, *stand_ins, *asked], [*constraints, *limits], overrides, options, folder, say
            )
        return _without(text, siblings)
    except UvFailed as error:
        reason = _explained(error.output, asked, pinned_versions, release.version) if asked else None
        if reason is None:
            raise
        raise BadRequirement(reason) from error


def resolve(
    requirements: Iterable[str],
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
    lines = [
        '[project]\nname = "environment"\nversion = "0"',
        f"dependencies = {json.dumps(list(requirements))}",
        "[tool.uv]",
        f"constraint-dependencies = {json.dumps(list(constraints))}",
        f"override-dependencies = {json.dumps(list(overrides))}",
        *settings,
    ]
    try:
        project.write_text("\n".join(lines), encoding="utf-8")
        resolved.write_text(preferred, encoding="utf-8")
        arguments = ["pip", "compile", "--quiet", "--generate-hashes", "--no-header", "--no-annotate", *options]
        # A uv.toml may ask for the index in the lock, and with it perhaps for a password.
        arguments += ["--no-emit-index-url", "--no-emit-find-links", "--no-emit-index-annotation"]
        uv.run([*arguments, str(project), "--output-file", str(resolved)], folder, say)
        return resolved.read_text(encoding="utf-8")
    finally:
        project.unlink(missing_ok=True)
        resolved.unlink(missing_ok=True)


def require_published(release: Release, python: str) -> None:
    """Raises ``BuildFailed`` if the index has no TensorFlow of a release for a Python (minor version) on this machine.

    It is asked for TensorFlow alone, which takes a second at most, not the minutes until an environment could be made.
    """
    options = ["--python", sys.executable, "--python-version", python, *only_wheels(release)]
    _published(release.requirements, options, python)


def _published(requirements: Iterable[str], options: Iterable[str], python: str) -> dict[str, str]:
    """The version of TensorFlow in the index, of the required ones. Raises ``BuildFailed``."""
    alone = [requirement for requirement in requirements if name_of(requirement) in TENSORFLOWS]
    with tempfile.TemporaryDirectory() as folder:
        return pinned(resolve(alone, (), (), [*options, "--no-deps"], Path(folder), lambda _: None), python)


def pinned(lock: str, python: str) -> dict[str, str]:
    """Versions by normalized name, of the lines of a lock that hold for a Python version on this machine."""
    requirements = [Requirement(line) for line in locks.split(lock)[0]]
    return {
        normalized(requirement.name): str(requirement.specifier).removeprefix("==")
        for requirement in requirements
        if holds(requirement, python)
    }


def only_wheels(release: Release) -> list[str]:
    """Options for uv: no setup code runs where a wheel exists; the exceptions are in ``catalogue.pins``."""
    exceptions = [word for package in release.build_from_source for word in ("--no-binary", package)]
    return ["--only-binary", ":all:", *exceptions]


def _replaced(lines: Iterable[str], versions: Mapping[str, str], release: Release, python: str) -> set[str]:
    """The replaceable packages that are asked for in other versions than the pinned ones."""
    free = {name_of(rule.requirement) for rule in pins.applying(pins.WITH, release.version) if rule.replaceable}
    requirements = [requirement for line in lines if holds(requirement := Requirement(line), python)]
    return {
        name
        for requirement in requirements
        if (name := normalized(requirement.name)) in free & versions.keys()
        and not requirement.specifier.contains(versions[name], prereleases=True)
    }


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
    for line in extras:
        requirement = Requirement(line)
        name = normalized(requirement.name)
        if name in siblings and holds(requirement, python):
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


def _without(lock: str, stand_ins: Iterable[str]) -> str:
    pattern = "|".join(re.escape(name) for name in stand_ins)
    return re.sub(rf"(?m)^({pattern}) @ .*\n(?:[ \t]+.*\n)*", "", lock) if pattern else lock


def check(extras: Sequence[str], versions: Mapping[str, str], release: str, python: str) -> None:
    """Raises ``BadRequirement`` if a requirement that holds for a Python is for a package pinned to another version."""
    for line in extras:
        requirement = Requirement(line)
        name = normalized(requirement.name)
        if name not in versions or not holds(requirement, python):
            continue
        fits = requirement.specifier.contains(versions[name], prereleases=True)
        if name in TENSORFLOWS:
            # A wheel by its address may be anything, and no release is a nightly one.
            if requirement.url or name == "tf-nightly" or not fits:
                raise BadRequirement(_another_tensorflow(line, requirement, release))
        elif not fits:
            raise BadRequirement(
                f"Cannot add {line!r}: TensorFlow {release} was verified together with "
                f"{requirement.name}=={versions[name]}, which wins. Omit {requirement.name}, or choose a release that "
                f"goes with it: tfkernels releases. In the kernel, !pip install overrides it, and doctor reports that."
            )


def _another_tensorflow(line: str, requirement: Requirement, release: str) -> str:
    exact = re.fullmatch(r"===?([\d.]+(?:post\d+)?)", str(requirement.specifier))
    command = f"tfkernels install {exact[1]}" if exact else "tfkernels releases"
    return (
        f"Cannot add {line!r}: this environment already has TensorFlow {release}, and it can hold only one. Omit it "
        f"(--without {requirement.name}, if the kernel was made with it), or make a kernel of the other release: "
        f"{command}"
    )


def _explained(output: str, extras: Sequence[str], versions: Mapping[str, str], release: str) -> str | None:
    """The meaning of uv's report that there is no solution; ``None`` if it is no such report, or says enough itself."""
    if not re.search(r"No solution found|requirements are unsatisfiable", output):
        return None
    met = [name for name, pin in versions.items() if _met(name, pin, output)]
    unknown = re.search(r"(\S+) was not found in the package registry", output)
    if not met or (unknown is not None and normalized(unknown[1]) in versions):
        return None  # uv says enough of a package that has no wheel, or of an index that lacks TensorFlow's own
    words = {normalized(word) for word in re.findall(r"[A-Za-z0-9][\w.-]*", output)}
    asked = " and ".join(repr(line) for line in [line for line in extras if name_of(line) in words] or extras)
    needs = "; ".join(_need(name, output) or f"another {name}" for name in met)
    pinned_here = ", ".join(f"{name}=={versions[name]}" for name in met)
    return (
        f"Cannot add {asked} to TensorFlow {release}: it needs {needs}, and TensorFlow was verified with "
        f"{pinned_here}, which wins. Ask for another version of it, or for another release of TensorFlow. uv "
        f"reported:\n{output.strip()}"
    )


def _met(name: str, pin: str, output: str) -> bool:
    """Whether uv names a pin as an obstacle; of TensorFlow's stand-ins it gives no version."""
    named = rf"(?<![\w.-]){re.escape(name)}(?![\w-])"
    absent = rf"no version of {named}|versions of {named} (is|are) available|only {named}\S* (is|are) available"
    found = rf"{named}(\{{[^}}]*\}})?=={re.escape(pin)}"
    return bool(re.search(f"{found}|{absent}" if name in TENSORFLOWS else found, output))


def _need(name: str, output: str) -> str | None:
    found = re.search(rf"depends? on ({re.escape(name)}[<>=!~][^\s]*?),?(\s|$)", output)
    return found[1].rstrip(",.") if found else None
