"""The check of a new environment: TensorFlow is imported in it, or less is done if that was done before.

An environment that is the catalogue's verified one to the last hash is not imported: its files are compared and its
libraries loaded. See docs/design/environments.md for what that can miss, and what is imported in any case.
"""

import contextlib
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tfprovisioner.catalogue import releases, system_libraries, verified
from tfprovisioner.catalogue.releases import TENSORFLOWS, Release
from tfprovisioner.environments import bounds, differing, run_checks
from tfprovisioner.environments.backends import LOCK
from tfprovisioner.environments.differing import Differing
from tfprovisioner.environments.installed import Difference, installed, needed_by, site_packages
from tfprovisioner.errors import BadRequirement, BrokenEnvironment
from tfprovisioner.progress import Reporter
from tfprovisioner.requirements.lines import LIMIT, divided, holding, name_of, without_hashes
from tfprovisioner.requirements.request import InstallRequest, Recipe
from tfprovisioner.resolution import overridden_bounds
from tfprovisioner.system import data_dir


def check(
    request: InstallRequest,
    recipe: Recipe,
    folder: Path,
    fetched: bool,
    differences: Sequence[Difference],
    report: Reporter,
) -> str:
    """The version of the Python of an environment that works. Raises ``BrokenEnvironment``.

    ``fetched``: the index had to be asked for some of its files. ``differences``: those unlike their wheels say.
    """
    python = folder / "bin" / "python"
    mark = import_check_mark(recipe)
    if not fetched and not request.rebuild and not mark.exists() and _is_verified(request, recipe, folder):
        report.step("checking: its files, TensorFlow's libraries")
        # TensorFlow's library that loads all its others
        library = min(folder.glob("lib/python*/site-packages/tensorflow*/python/_pywrap_tensorflow*.so"), default=None)
        if differences:
            some = ", ".join(file.path for file in differences[:3])
            report.note(f"some files differ from what their wheels say, so it is imported: {some}")
        elif library is not None:
            with contextlib.suppress(BrokenEnvironment):  # the import says more of it
                return run_checks.load_library(python, library)
    others = _differing(recipe, folder)
    if others.any:
        version = _check_differing(request, recipe, folder, others, report)
    elif recipe.as_of:
        version = _check_of_the_day(python, report)
    else:
        report.step("checking: importing TensorFlow, running an op")
        require_import_check(recipe)  # an interrupt does not say that it would have passed
        version = run_checks.probe(python).python
        mark.unlink(missing_ok=True)
    if recipe.extras:
        for one in bounds.outside(site_packages(folder)):
            report.note(f"warning: {one.sentence}")
        report.step("checking: importing what --with added")
    for line, problem, fits in failing_extras(recipe, folder, version):
        if fits:
            report.note(f"warning: {problem}. {needed_here(problem)}")
            continue
        raise BadRequirement(
            f"Cannot add {line!r} to TensorFlow {recipe.tensorflow}: {problem}. Nothing was changed. Ask for another "
            f"version{_likely(request.catalogue_entry)}.{_of_a_day(request)} To install it unchecked, use a cell in "
            f"the kernel: !pip install {shlex.quote(line)}"
        )
    return version


def _check_of_the_day(python: Path, report: Reporter) -> str:
    """The version of the Python of an environment with packages of a day. Raises ``BrokenEnvironment``.

    Training may have failed on that day, too, so that is a warning.
    """
    report.step("checking: importing TensorFlow, training a small model, starting a kernel")
    findings, outcomes = run_checks.probe_and_try(python, ["fit"])
    if not verified.is_fine(outcomes["fit"]):
        report.note(f"warning: training a small model fails: {outcomes['fit']}")
    problem = run_checks.kernel_error(python)
    if problem:
        raise BrokenEnvironment(f"no kernel starts in it: {problem}")
    return findings.python


class _Others(NamedTuple):
    """The packages in other versions than the verified ones that matter most."""

    tensorflow: tuple[Differing, ...]
    """Those that TensorFlow depends on, and h5py."""
    kernel: tuple[Differing, ...]
    """Those that ipykernel depends on."""

    @property
    def any(self) -> bool:
        return bool(self.tensorflow or self.kernel)


def _differing(recipe: Recipe, folder: Path) -> _Others:
    found, packages = differing.of(folder / LOCK, recipe), installed(folder)
    if not found:
        return _Others((), ())
    roots = ([*TENSORFLOWS, "h5py"], ["ipykernel"])
    needed = (needed_by(names, packages, recipe.python) for names in roots)
    return _Others(*(tuple(one for one in found if one.name in names) for names in needed))


_TRIED = {"h5": {"h5py", "numpy"}, "tensorboard": {"tensorboard", "protobuf"}}
"""Checks beside ``fit`` that take half a second at most, by the packages that they say something of."""


def _check_differing(request: InstallRequest, recipe: Recipe, folder: Path, others: _Others, report: Reporter) -> str:
    """The version of the Python of an environment in which TensorFlow works with what the user chose.

    Raises ``BadRequirement``.
    """
    python, different = folder / "bin" / "python", {one.name for one in others.tensorflow}
    known = {rule.fails for rule in overridden_bounds.overridden(recipe.extras, recipe.tensorflow, recipe.python)}
    checks = ["fit"] if others.tensorflow else []
    checks += [name for name, packages in _TRIED.items() if packages & different]
    report.step("checking: importing TensorFlow, running an op, and parts that use the packages in other versions")
    try:
        findings, outcomes = run_checks.probe_and_try(python, [name for name in checks if name not in known])
    except BrokenEnvironment as error:
        raise _refused(request, (*others.tensorflow, *others.kernel), str(error)) from error
    for check, outcome in outcomes.items():
        if not verified.is_fine(outcome):
            raise _refused(request, others.tensorflow, f"the check {check!r} fails: {outcome}")
    problem = run_checks.kernel_error(python) if others.kernel else None
    if problem:
        raise _refused(request, others.kernel, f"no kernel starts in it: {problem}")
    return findings.python


def _refused(request: InstallRequest, others: Sequence[Differing], problem: str) -> BadRequirement:
    """The error that names the packages in other versions: those in its text first, then those that were asked for."""
    named = [one.name for one in others if re.search(rf"\b{re.escape(one.name)}\b", problem, re.IGNORECASE)]
    asked = {name_of(line.removeprefix(LIMIT)) for line in request.extras}
    first = named or [one.name for one in others if one.name in asked]
    advice = (
        f"Ask for other versions, or omit those packages.{_of_a_day(request)} To try them anyway, use a cell in the "
        f"kernel: !pip install …"
    )
    if request.locked is not None:
        advice = f"Choose another lock, or let tfkernels choose the packages: tfkernels install {request.release}"
    return BadRequirement(
        f"TensorFlow {request.catalogue_entry.version} does not work with these versions, so nothing was changed: "
        f"{problem.rstrip('.')}. Differing from the tested versions: {differing.listed(others, first)}. {advice}"
    )


def failing_extras(recipe: Recipe, folder: Path, python: str) -> Iterator[tuple[str, str, bool]]:
    """The user's requirements that cannot be imported in an environment, without hashes, each with the error.

    Packages that TensorFlow needs are left out, because it imports them. Last whether the package fits all the same:
    it misses a file of the user's, or a display.
    """
    found = installed(folder)
    imported = needed_by(TENSORFLOWS, found, python)
    for line, name, _ in holding(divided(recipe.extras)[0], python):
        modules = found[name].modules() if name in found and name not in imported else ()
        error = run_checks.import_error(folder / "bin" / "python", modules) if modules else None
        if error:
            text, fits = error
            problem = f"{' or '.join(modules)} {found[name].version} cannot be imported: {text.rstrip('.')}"
            yield without_hashes(line), problem, fits


def needed_here(problem: str) -> str:
    """What a package that fits TensorFlow may need from the machine."""
    return system_libraries.missing(problem) or "It may need something that this machine lacks"


def _of_a_day(request: InstallRequest) -> str:
    """Old packages rarely bound the packages that they need, and get the newest ones."""
    if request.as_of or request.bundle or request.locked is not None or request.backend == "conda":
        return ""
    return (
        " Or add --as-of DATE, a day on which these versions were in use: packages without a version are of that day."
    )


def _likely(release: Release) -> str:
    dates = [one.released for one in releases.releases() if one.line == release.line and one.released]
    return f", perhaps one from {min(dates)[:7]}, when TensorFlow {release.line} was released" if dates else ""


def require_import_check(recipe: Recipe) -> None:
    """Has environments of this release and Python imported, whatever the catalogue says, until one passes."""
    with contextlib.suppress(OSError):  # where nothing can be written, nothing can be installed
        import_check_mark(recipe).parent.mkdir(parents=True, exist_ok=True)
        import_check_mark(recipe).touch()


def import_check_mark(recipe: Recipe) -> Path:
    """The file that is there if the last import of this release and Python failed, or was interrupted."""
    return data_dir.home() / "import-check" / f"{recipe.tensorflow}-py{recipe.python}"


def _is_verified(request: InstallRequest, recipe: Recipe, folder: Path) -> bool:
    """Whether the installed lock is the one that the catalogue has seen working on this platform."""
    release = request.catalogue_entry
    result = release.result(recipe.python)
    if recipe.backend != "uv" or result is None or result.platform != releases.platform_name():
        return False
    passed = all(result.checks.get(name) == "ok" for name in ("import", "op", "kernel"))
    return passed and (folder / LOCK).read_text(encoding="utf-8") == release.lock
