"""What an environment takes from conda's channels, and why the user's requirements may not go together there."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import Specifier

from tfprovisioner.catalogue import pins, releases
from tfprovisioner.catalogue.releases import TENSORFLOWS
from tfprovisioner.conda import channels, solve
from tfprovisioner.conda.channels import PackageRequest
from tfprovisioner.conda.solve import Unsolvable
from tfprovisioner.errors import BuildFailed, PackageNotInChannels
from tfprovisioner.gpu import cuda
from tfprovisioner.progress import Reporter, SilentReporter
from tfprovisioner.pythons.choose import Interpreter
from tfprovisioner.requirements.lines import LIMIT, divided, holding, without_hashes
from tfprovisioner.requirements.request import InstallRequest
from tfprovisioner.resolution import one_tensorflow, overridden_bounds
from tfprovisioner.resolution.conflicts.explain import Search

_NAMES = {"matplotlib": "matplotlib-base"}
"""Conda's other name for the same package."""


def of(request: InstallRequest, interpreter: Interpreter) -> PackageRequest:
    """What is taken from conda's channels, the Python first. Raises ``BuildFailed``."""
    release, version = request.catalogue_entry, interpreter.version
    taken, python = channels.chosen(request.channels), f"python={version}"
    if request.gpu:  # TensorFlow's own builds, and conda's CUDA where there are no wheels of it
        return PackageRequest(taken, (python, *cuda.by_conda(release)))
    # In the newest versions that go together: a channel's Python 3.7 ends with other ones than the wheels for it.
    asked, limits = divided(sorted(request.extras))
    overridden = overridden_bounds.overridden(request.extras, release.version, version)
    limiting = [rule for rule in pins.applying((*pins.BOUNDS, *pins.KERNEL), release.version) if rule not in overridden]
    beside = (name for _, name, _ in holding(pins.requirements(pins.WITH, release.version), version))
    return PackageRequest(
        channels=taken,
        specs=(
            python,
            f"tensorflow=={release.version}",
            *(_NAMES.get(name, name) for name in beside),
            *_specs(asked, version),
        ),
        bounds=_specs((rule.requirement for rule in limiting), version),
        tensorflow=(release.version, interpreter.minor),
        limits=_specs(limits, version),
    )


def python_only(
    request: InstallRequest, wanted: PackageRequest, missing: PackageNotInChannels, report: Reporter
) -> PackageRequest:
    """The Python of ``wanted``, for wheels of a TensorFlow that the channels lack. Raises ``BuildFailed``."""
    release = request.catalogue_entry
    if releases.platform_name() not in release.platforms:
        raise BuildFailed(
            f"{missing}, and TensorFlow {release.version} has no wheels for {releases.platform_name()}. Nothing was "
            f"changed. Name a channel that has it with --channel, or take another release: tfkernels releases"
        ) from missing
    report.note(f"{missing}. It is made of conda's Python and wheels instead")
    return PackageRequest(wanted.channels, wanted.specs[:1])


@contextlib.contextmanager
def conflicts_explained(request: InstallRequest, interpreter: Interpreter, report: Reporter) -> Iterator[None]:
    """Raises ``Conflicts`` in place of ``Unsolvable`` if lines of the user's have a part in it."""
    try:
        yield
    except Unsolvable as error:
        version, release = interpreter.version, request.catalogue_entry.version
        held = [line for line in request.extras if list(holding([line.removeprefix(LIMIT)], version))]
        lines = {one_tensorflow.meaning_the_line(line): line for line in held}
        others = one_tensorflow.others(lines, dict.fromkeys(TENSORFLOWS, release), version)

        def solved(some: Sequence[str]) -> list[dict[str, Any]]:
            return solve.planned(of(replace(request, extras=tuple(some)), interpreter), None, SilentReporter(""))

        def refusal(some: Sequence[str]) -> str | None:
            try:
                solved(some)
            except Unsolvable as refused:
                return refused.output
            return None

        def versions(some: Sequence[str]) -> dict[str, str]:
            return {package["name"]: package["version"] for package in solved(some)}

        rest = [line for line in lines if line not in others]
        output = refusal(rest) if others else error.output
        search = Search(lines, release, version, refusal, versions, conda=True)
        conflicts = search.conflicts(others, output, request.relax, report.step)
        if conflicts is None:
            raise
        raise conflicts from error


def _specs(lines: Iterable[str], python: str) -> tuple[str, ...]:
    """Pip's requirements in conda's words, without those for other Pythons. Raises ``BuildFailed``."""
    specs = []
    for line, _, requirement in holding(lines, python):
        if requirement.url or requirement.extras or line != without_hashes(line):
            raise BuildFailed(f"{line!r} is more than a name and versions, which is all that conda understands.")
        meant = Requirement(one_tensorflow.meaning_the_line(line))
        specs.append(f"{meant.name}{','.join(map(_in_condas_words, meant.specifier))}".lower())
    return tuple(specs)


def _in_condas_words(part: Specifier) -> str:
    """``==3.7.*`` is ``=3.7``, and no text is compared."""
    any_patch = part.operator == "==" and part.version.endswith(".*")
    return f"={part.version.removesuffix('.*')}" if any_patch else str(part).replace("===", "==")
