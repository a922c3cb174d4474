"""From requirements to a lock: every package pinned and hashed.

One environment has one TensorFlow. While the user's requirements are resolved, an empty wheel stands in for each of its
other distributions, in the version of the pinned one. See docs/design/environments.md.
"""

import json
import re
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from tfprovisioner.catalogue import locks, pins, releases
from tfprovisioner.catalogue.releases import TENSORFLOWS, Release
from tfprovisioner.environments.installed import PARTS
from tfprovisioner.environments.request import InstallRequest
from tfprovisioner.errors import BadRequirement
from tfprovisioner.gpu import cuda
from tfprovisioner.progress import Reporter
from tfprovisioner.pythons.choose import Interpreter
from tfprovisioner.requirements.lines import LIMIT, divided, hashes_of, holding, name_of, without_hashes
from tfprovisioner.system import uv
from tfprovisioner.system.uv import UvFailed


def lock(request: InstallRequest, interpreter: Interpreter, python: Path, folder: Path, report: Reporter) -> str:
    """The text of the lock for an environment whose interpreter is ``python``; scratch files go to ``folder``.

    It is the release's own, verified one. The user's requirements are resolved together with its pins, and the pins
    win, except those marked as replaceable. A release that is newer than the catalogue is resolved by the rules of the
    newest known one. Raises ``BadRequirement`` with the conflict, ``BuildFailed``.
    """
    release, verified, version = request.catalogue_entry, request.verified_lock, interpreter.version
    if verified is not None and not request.extras:
        return verified
    asked, limits = (list(map(without_hashes, lines)) for lines in divided(sorted(request.extras)))
    options = ["--python", str(python), *only_wheels(release)]
    if verified is None:
        requirements, constraints = list(release.requirements), list(release.constraints)
        if request.gpu:
            others = [requirement for requirement in requirements if not requirement.startswith("tensorflow")]
            requirements = [*cuda.requirements(release), *others]
        versions = _published(requirements, options, version) if request.extras else {}
    else:
        versions = pinned(verified, version)
        replaced = _replaced([*asked, *limits], versions, release, version)
        constraints = [line for line in locks.split(verified)[0] if name_of(line) not in replaced]
        requirements = [*constraints, *sorted(replaced)]
        versions = {name: pin for name, pin in versions.items() if name not in replaced}
    siblings = siblings_of(versions)
    limiting = [line for line in limits if name_of(line) in TENSORFLOWS]
    check([*asked, *limiting], {**versions, **siblings}, release.version, version)
    overrides = [*release.overrides, *(cuda.NEVER if request.gpu else ())]
    try:
        with tempfile.TemporaryDirectory() as scratch:
            requirements += [f"{name} @ {_empty_wheel(scratch, name, pin).as_uri()}" for name, pin in siblings.items()]
            text = resolve([*requirements, *asked], [*constraints, *limits], overrides, options, folder, report.uv_says)
    except UvFailed as error:
        words = " ".join(error.output.split())  # uv breaks its lines where it likes
        if not asked or "No solution found" not in words or re.search(f"{uv.UNREACHABLE}|{uv.NOT_IN_INDEX}", words):
            raise  # no conflict
        cause = _cause(words, constraints)
        raise BadRequirement(
            f"Cannot add {' and '.join(map(repr, asked))} to TensorFlow {release.version}: {cause} uv reported:\n"
            f"{error.output.strip()}"
        ) from error
    for note in redundant(asked, versions, version):
        report.note(note)
    pins_found, hashes = locks.split(text)
    _limit_hashes(hashes, request.extras, version)
    return locks.joined((pin for pin in pins_found if pin.partition(" @ ")[0] not in siblings), hashes)


def _cause(words: str, constraints: Iterable[str]) -> str:
    """The cause of a failed resolution, and what helps; ``words`` are uv's."""
    if any(re.search(rf"\b{re.escape(name)}[=<>!~]", words) for name in map(name_of, constraints)):
        return (
            "the packages that TensorFlow was verified with win. Ask for other versions, or choose another release: "
            "tfkernels releases. In the kernel, !pip install overrides a package, and doctor reports that."
        )
    if re.search(uv.NO_WHEEL, words):
        return (
            "a package has no wheel for this Python and platform, and tfkernels does not build from source. Ask for a "
            "version that has one, or name a folder with such a wheel: --find-links."
        )
    return "no versions go together. Ask for other versions."


def _limit_hashes(hashes: dict[str, list[str]], extras: Iterable[str], python: str) -> None:
    """Leaves in the hashes of a lock those that the user allows. Raises ``BadRequirement`` if there are none."""
    for line, name, _ in holding((line.removeprefix(LIMIT) for line in extras), python):
        allowed = hashes_of(line)
        for pin in (pin for pin in hashes if allowed and name_of(pin) == name):
            hashes[pin] = [digest for digest in hashes[pin] if digest in allowed]
            if not hashes[pin]:
                raise BadRequirement(
                    f"Cannot add {without_hashes(line)!r}: the package index has other files of {pin} than those that "
                    f"the hashes allow. Correct the hashes, or choose another index with --index."
                )


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
    held = holding(locks.split(lock)[0], python)
    return {name: str(requirement.specifier).removeprefix("==") for _, name, requirement in held}


def only_wheels(release: Release) -> list[str]:
    """Options for uv: no setup code runs where a wheel exists; the exceptions are in ``catalogue.pins``."""
    exceptions = [word for package in release.build_from_source for word in ("--no-binary", package)]
    return ["--only-binary", ":all:", *exceptions]


def _replaced(lines: Iterable[str], versions: Mapping[str, str], release: Release, python: str) -> set[str]:
    """The replaceable packages that are asked for in other versions than the pinned ones."""
    free = {name_of(rule.requirement) for rule in pins.applying(pins.WITH, release.version) if rule.replaceable}
    pinned_and_free = ((name, asked) for _, name, asked in holding(lines, python) if name in free & versions.keys())
    return {name for name, asked in pinned_and_free if not asked.specifier.contains(versions[name], prereleases=True)}


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


def check(extras: Iterable[str], versions: Mapping[str, str], release: str, python: str) -> None:
    """Raises ``BadRequirement`` if a requirement that holds for a Python is for a package pinned to another version."""
    for line, name, requirement in holding(extras, python):
        fits = name not in versions or requirement.specifier.contains(versions[name], prereleases=True)
        # A wheel by its address may be anything, and no release is a nightly one.
        if name in TENSORFLOWS and name in versions and (requirement.url or name == "tf-nightly" or not fits):
            known = {other.version for other in releases.releases()}
            # A release has three numbers, where a requirement like ==1.15 may have two.
            exact = f"{str(requirement.specifier).lstrip('=')}.0.0".split(".")[:3]
            command = f"tfkernels install {'.'.join(exact)}" if ".".join(exact) in known else "tfkernels releases"
            raise BadRequirement(
                f"Cannot add {line!r}: this environment already has TensorFlow {release}, and it can hold only one. "
                f"Omit it (--without {requirement.name}, if the kernel was made with it), or make a kernel of the "
                f"other release: {command}"
            )
        if not fits:
            raise BadRequirement(
                f"Cannot add {line!r}: TensorFlow {release} was verified together with "
                f"{requirement.name}=={versions[name]}, which wins. Omit {requirement.name}, or choose a release that "
                f"goes with it: tfkernels releases. In the kernel, !pip install overrides it, and doctor reports that."
            )
