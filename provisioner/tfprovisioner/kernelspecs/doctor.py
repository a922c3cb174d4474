"""``tfkernels doctor``: checks that TensorFlow works in a kernel, and with ``--fix`` runs the command that fixes it."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tfkernels.client import kernelspecs
from tfkernels.client.kernelspecs import KernelSpec
from tfprovisioner.catalogue import verified
from tfprovisioner.environments import bounds, differing, drift, installed, run_checks, store, tensorflow_checks, verify
from tfprovisioner.environments.backends import LOCK
from tfprovisioner.environments.drift import Drift
from tfprovisioner.environments.run_checks import Findings, gpus_seen, probe
from tfprovisioner.environments.store import Environment
from tfprovisioner.errors import BrokenEnvironment
from tfprovisioner.existing import inspect, kinds
from tfprovisioner.gpu import devices
from tfprovisioner.kernelspecs import health, python_shim, write
from tfprovisioner.requirements.request import EXISTING, made_by
from tfprovisioner.resolution import overridden_bounds

_COMMAND = """
import sys
sys.path[:] = filter(None, sys.path)  # without the current folder
from tfprovisioner.cli.app import app
app(prog_name="tfkernels")
"""
"""The command ``tfkernels``; its script may be elsewhere than this Python."""


_LIMIT = r"Resource temporarily unavailable|can't start new thread|Thread creation .*failed"
"""In an error: no process or thread could be started. A rebuild does not help there."""


@dataclass(frozen=True)
class Diagnosis:
    """One kernel's health. ``problem`` is ``None`` if it works, ``remedy`` (a command) if there is nothing to fix."""

    name: str
    ok: bool
    findings: Findings | None
    problem: str | None
    remedy: str | None
    warnings: tuple[str, ...] = ()
    """Possible causes of trouble: versions that differ from the tested ones, edited files."""
    notes: tuple[str, ...] = ()
    """Harmless facts: packages that were added."""
    mended: str | None = None
    """The command that ``--fix`` ran."""
    gpus: tuple[str, ...] | None = None
    """Those that TensorFlow sees in a kernel that was installed with --gpu."""


def names() -> list[str]:
    """All kernels, and our kernelspec folders that no Jupyter can read any more."""
    return sorted({*kernelspecs.find(), *_damaged()})


def check_name(name: str) -> None:
    """Raises ``UnknownKernel`` if nothing has this name, ``BadKernelName`` if tfkernels did not make the kernel."""
    if name not in _damaged():
        write.registered(name)


def examine(name: str, deep: bool = False) -> Diagnosis:
    """Imports TensorFlow in a kernel's environment and runs an op; ``deep`` tries what the catalogue's checks try.

    Raises ``UnknownKernel``, ``BadKernelName``.
    """
    damaged = _damaged().get(name)
    if damaged is not None:
        unreadable = f"{damaged / 'kernel.json'} cannot be read, so no Jupyter shows the kernel"
        command = python_shim.made_by(damaged / python_shim.NAME) or f"tfkernels install RELEASE --name {name}"
        return Diagnosis(name, False, None, unreadable, command)
    spec = write.registered(name)
    environment, problem = health.look(spec.spec["argv"], spec.described)
    if problem is not None:
        return Diagnosis(name, False, None, problem, spec.install_command)
    return _examined(spec, environment, deep)


def _examined(spec: KernelSpec, environment: Environment | None, deep: bool) -> Diagnosis:
    name, described = spec.name, spec.described
    existing = described["backend"] == EXISTING
    rebuild = spec.install_command if existing else f"{spec.install_command} --rebuild"
    changes = Drift() if environment is None else drift.of(environment)
    python, folder = Path(python_shim.behind(spec.spec["argv"], described)), Path(described["environment"])
    mixed = _mixed(described)
    chosen = _overridden(environment)
    every = bounds.outside(installed.site_packages(folder))
    known = [one for one in every if one.requirement not in chosen]
    outside, beside = ([one for one in known if one.beside is is_beside] for is_beside in (False, True))
    remedy = rebuild
    if existing and outside:
        remedy = kinds.installing(inspect.registered(folder, python), [one.requirement for one in outside])
    try:
        findings = probe(python, writing=not existing)
        gpus = _gpus(spec, python)
    except BrokenEnvironment as error:
        if re.search(_LIMIT, str(error)):
            advice = "The limit of processes and threads is reached: end some programs, or raise it (ulimit -u)"
            return Diagnosis(name, False, None, f"{error}. {advice}", None)
        if environment is not None:
            verify.require_import_check(environment.recipe)
        early = [one.sentence for one in outside if not one.late]
        problem = "; ".join((str(error), *early, *mixed, *changes.deleted, *changes.changed, *changes.missing))
        return Diagnosis(name, False, None, problem, remedy if early else rebuild)
    if changes.deleted:
        problem = f"files of its environment were deleted: {'; '.join(changes.deleted)}"
        return Diagnosis(name, False, None, problem, rebuild)
    checks = tensorflow_checks.TRIED if deep else ()
    tried = {check: run_checks.trial(python, check, writing=not existing) for check in checks}
    extras = list(_failing_extras(environment))
    failing = [one.sentence for one in outside if one.late]
    failing += [problem for problem, fits in extras if not fits]
    failing += [
        f"{check} fails: {outcome}"
        for check, outcome in tried.items()
        if not verified.is_fine(outcome) and check not in chosen.values()
    ]
    if failing:
        differs = mixed or changes.changed or changes.missing or changes.edited
        changed = outside or (differs and not existing)
        return Diagnosis(name, False, None, "; ".join((*failing, *mixed)), remedy if changed else None)
    warnings = [*mixed, *changes.changed, *changes.missing, *changes.edited]
    warnings += [f"{problem}. {verify.needed_here(problem)}" for problem, fits in extras if fits]
    if beside:
        place = inspect.registered(folder, python)
        warnings += [inspect.mending(place, beside)] if existing else [one.sentence for one in beside]
    if changes.shared:
        names = ", ".join(changes.shared)
        warnings.append(
            f"{names}: uv's cache or other environments share these files; --rebuild fetches the original ones"
        )
    notes = [f"{added} was added" for added in changes.added]
    notes += [f"{one.sentence}. You asked for this version" for one in every if one.requirement in chosen]
    notes += _differing(environment)
    if tried:
        notes.append(f"these work, too: {', '.join(check for check, outcome in tried.items() if outcome == 'ok')}")
    upgraded = _upgraded(described, findings)
    (warnings if existing else notes).extend(upgraded)
    again = rebuild if (upgraded if existing else mixed or beside) else None
    return Diagnosis(name, True, findings, None, again, tuple(warnings), tuple(notes), gpus=gpus)


def _overridden(environment: Environment | None) -> dict[str, str]:
    """The bounds that the user's own lines are beyond, each with the check that fails because of it."""
    if environment is None:
        return {}
    recipe = environment.recipe
    rules = overridden_bounds.overridden(recipe.extras, recipe.tensorflow, environment.python_version)
    return {rule.requirement: rule.fails for rule in rules}


def _differing(environment: Environment | None) -> list[str]:
    """A note on the versions that the user's lines led to."""
    if environment is None or not environment.recipe.extras:
        return []
    found = differing.of(environment.folder / LOCK, environment.recipe)
    return [f"as you asked, these differ from the tested versions: {', '.join(map(str, found))}"] if found else []


def _failing_extras(environment: Environment | None) -> Iterator[tuple[str, bool]]:
    if environment is not None:
        found = verify.failing_extras(environment.recipe, environment.folder, environment.python_version)
        yield from ((problem, fits) for _, problem, fits in found)


def can_fix(sick: Diagnosis) -> bool:
    """Whether the command of a diagnosis is one of ours. Environments of the user's are not changed."""
    words = shlex.split(sick.remedy or "")
    # The words come from a kernel.json, which anybody may have written.
    return words[:2] in (["tfkernels", "install"], ["tfkernels", "add"]) and "RELEASE" not in words


def fix(sick: Diagnosis, deep: bool = False) -> Diagnosis:
    """Runs the command of a diagnosis, if it is ours, and returns the diagnosis afterwards.

    The command's output goes to standard error. Packages that were added by hand are not in a rebuilt environment: a
    note has the command that adds them.
    """
    if not can_fix(sick):
        return sick
    words = shlex.split(sick.remedy or "")
    before = _added(sick.name)
    # A process of its own: exactly what a user would type.
    command = [sys.executable, "-c", _COMMAND, *words[1:]]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)
    after = replace(examine(sick.name, deep), mended=sick.remedy)
    lost = sorted(before - _added(sick.name))
    if lost and done.returncode == 0:
        options = [word for added in lost for word in ("--with", added)]
        again = shlex.join([*(word for word in words if word != "--rebuild"), *options])
        note = f"not in the rebuilt environment, because it was added by hand: {', '.join(lost)}. Add it with: {again}"
        after = replace(after, notes=(*after.notes, note))
    return after


def _added(name: str) -> set[str]:
    """Packages that were added by hand to the environment of a kernel."""
    spec = kernelspecs.find().get(name)
    environment = None if spec is None else store.load(Path(spec.described["environment"]))
    return set() if environment is None else {*drift.of(environment).added}


def _mixed(described: dict[str, Any]) -> list[str]:
    """A warning about two TensorFlows in one environment; ``!pip install`` of a package brings the second."""
    found = drift.tensorflows(Path(described["environment"]))
    if not found:
        return []
    problem = f"{' and '.join(found)} are both installed and overwrite each other's files"
    if described["backend"] == EXISTING:
        return [f"{problem}. Uninstall both there, and install the one that you want again"]
    return [f"{problem}. Rebuild, and add the package that pulled in the other one with --with, not with !pip install"]


def _gpus(spec: KernelSpec, python: Path) -> tuple[str, ...] | None:
    request = made_by(spec.described)
    if request is None or not request.gpu:
        return None
    seen = gpus_seen(python, spec.spec["env"])
    if not seen and devices.present() and spec.spec["env"].get("CUDA_VISIBLE_DEVICES") != "-1":
        names = ", ".join(card.name for card in devices.present())
        raise BrokenEnvironment(f"TensorFlow sees no GPU, though this machine has {names}")
    return seen


def _upgraded(described: dict[str, Any], findings: Findings) -> list[str]:
    """Upgrades since the kernel was registered; it works all the same."""
    versions = {
        "TensorFlow": (described["tensorflow"], findings.tensorflow),
        "Python": (described["python"], findings.python),
    }
    return [f"{title} is {now} now, it was {then}" for title, (then, now) in versions.items() if not _is(now, then)]


def _is(now: str, registered: str) -> bool:
    """Whether a version is the registered one; for releases that the catalogue lacks that is a line, ``2.22``.

    TensorFlow omits the end of its own ``2.15.0.post1``.
    """
    line = registered.count(".") == 1 and now.startswith(f"{registered}.")
    return line or now == re.sub(r"\.post\d+$", "", registered)


def _damaged() -> dict[str, Path]:
    """The folders of kernels of ours whose ``kernel.json`` cannot be read, by name; the first of one name counts."""
    found = [start.parent for base in reversed(kernelspecs.folders()) for start in base.glob(f"*/{write.START}")]
    known = kernelspecs.find()
    return {folder.name: folder for folder in found if folder.name not in known and write.damaged(folder)}
