"""The commands ``add``, ``doctor`` and ``gc``."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

from typer import Argument, BadParameter, Exit, Option

from tfprovisioner.cli import shared_options
from tfprovisioner.cli.console import NO_KERNELS, answering, can_ask, complain, megabytes, print_json, print_table, say
from tfprovisioner.errors import ProvisionError

if TYPE_CHECKING:
    from tfprovisioner.kernelspecs.doctor import Diagnosis
    from tfprovisioner.kernelspecs.gc import Garbage
    from tfprovisioner.notebook_metadata.differences import NotebookDiagnosis


def add(
    path: Annotated[
        Path | None, Argument(help="The environment's folder, its python, or a project with a .venv or .pixi folder.")
    ] = None,
    name: shared_options.Name = None,
    user: shared_options.User = False,
    prefix: shared_options.Prefix = None,
    install_ipykernel: Annotated[
        bool, Option("--install-ipykernel", help="Install ipykernel into the environment if it has none.")
    ] = False,
    find: Annotated[bool, Option("--find", help="List the environments with TensorFlow; with PATH, below it.")] = False,
    as_json: shared_options.Json = False,
) -> None:
    """Register an environment that you have as a kernel.

    It may be of venv, virtualenv, uv, conda, pixi or poetry. It is not changed.
    """
    if find:
        _find(path or Path(), as_json)
        return
    if path is None:
        raise BadParameter("name an environment, or list them with --find", param_hint="PATH")
    from tfprovisioner.kernelspecs import install

    with answering():
        done = install.add(path, name, user, install_ipykernel, shared_options.absolute_prefix(prefix, user))
    made = done.environment
    if as_json:
        paths = {"environment": str(made.folder), "kernelspec": str(done.kernelspec)}
        print_json({"name": done.name, **paths, "warnings": done.warnings})
    else:
        state = "added" if done.registered else "already there"
        facts = f"TensorFlow {made.recipe.tensorflow}, Python {made.python_version}"
        print(f"{done.name}: {state}. {facts}. Kernel: {done.kernelspec}")
    for text in done.warnings:
        say(f"{done.name}: warning: {text}")


def _find(below: Path, as_json: bool) -> None:
    from tfprovisioner.existing import search

    found, complete = search.search(below)
    if not complete:
        say(f"The search stopped after {search.TIME_LIMIT:.0f} s; there may be more environments.")
    if as_json:
        print_json(found)
    elif found:
        print_table(
            ("environment", "made by", "TensorFlow", "Python", "ipykernel", "kernel"),
            [(c.path, c.kind, c.tensorflow, c.python, c.ipykernel or "missing", c.kernel or "") for c in found],
        )
    else:
        print("No environment with TensorFlow was found in the usual places and below this folder.")


def doctor(
    names: Annotated[
        list[str] | None,
        Argument(help="Kernels. Of a notebook: its kernel, and what differs from it now.", show_default="all kernels"),
    ] = None,
    fix: Annotated[
        bool,
        Option("--fix", help="Fix problems: rebuild environments, re-register kernels. Without names, also run gc."),
    ] = False,
    deep: Annotated[
        bool, Option("--deep", help="Also train small models, such as an LSTM, and save one as .h5; takes a minute.")
    ] = False,
    report: Annotated[
        bool, Option("--report", help="Also write tfkernels-report.txt here, for a bug report; no secrets.")
    ] = False,
    as_json: shared_options.Json = False,
) -> None:
    """Import TensorFlow and run an op in each kernel's environment. Exit code 1 if anything is wrong."""
    from tfprovisioner.kernelspecs import doctor, gc

    notebooks = [name for name in names or () if name.endswith(".ipynb")]
    with answering():
        examined = [name for name in names if name not in notebooks] if names else doctor.names()
        for name in examined:  # all names are checked before the first import takes its time
            doctor.check_name(name)
        found = [_examine(name, fix, deep, quiet=as_json) for name in examined]
        removed = gc.collect() if fix and not names else []
        read = _read(notebooks)
    read = _provided(notebooks, read) if fix else read
    if as_json:
        print_json([*found, *read])
    else:
        if not found and not notebooks:
            print(NO_KERNELS)
        for line in (line for notebook in read for line in _on_notebook(notebook)):
            print(line)
        for diagnosis in found:
            for line in _described(diagnosis):
                print(f"{diagnosis.name}: {line}")
        _print_removed(removed, "removed")
    if report:
        _write_report(found)
    healthy = [diagnosis.ok for diagnosis in found] + [notebook.ok for notebook in read]
    if _complain_of_left(removed) or not all(healthy):
        raise Exit(1)


def _read(notebooks: Sequence[str]) -> "list[NotebookDiagnosis]":
    if not notebooks:  # the import takes a fifth of a second
        return []
    from tfprovisioner.notebook_metadata import differences

    return [differences.examine(Path(name)) for name in notebooks]


def _provided(names: Sequence[str], read: "Sequence[NotebookDiagnosis]") -> "list[NotebookDiagnosis]":
    """Gives notebooks the kernels that they want, each after a question. Returns the diagnoses afterwards."""
    from tfprovisioner.cli import notebooks
    from tfprovisioner.requirements.request import InstallRequest

    for name, found in zip(names, read, strict=True):
        if found.remedy is None:
            continue
        if not can_ask():
            say(f"{name}: nobody can be asked here, so it was not fixed. Run: tfkernels install {quote(name)} --yes")
            continue
        with suppress(Exit), redirect_stdout(sys.stderr):  # the answer of doctor is on standard output
            notebooks.provide(Path(name), InstallRequest(""))
    with answering():
        return _read(names)


def _on_notebook(found: "NotebookDiagnosis") -> Iterator[str]:
    """The lines on a notebook."""
    own = f"{found.said_by} {found.kernel}" if found.said_by else "it names no kernel of tfkernels"
    yield f"{found.notebook}: {own}; opens on {found.opens_on or 'no kernel'}"
    for difference in found.differences:
        yield f"{found.notebook}: {'differs: ' if found.opens_on else ''}{difference}"
    if found.remedy is not None:
        yield f"{found.notebook}: get the kernel with: {found.remedy}"


def _examine(name: str, fix: bool, deep: bool, quiet: bool) -> "Diagnosis":
    from tfprovisioner.kernelspecs import doctor

    if not quiet:
        say(f"{name}: importing TensorFlow{', training small models' * deep} …")
    diagnosis = doctor.examine(name, deep)
    if not fix or not doctor.can_fix(diagnosis):
        return diagnosis
    say(f"{name}: {diagnosis.problem or '; '.join(diagnosis.warnings)}")
    say(f"{name}: running: {diagnosis.remedy}")
    return doctor.fix(diagnosis, deep)


def _write_report(found: Sequence["Diagnosis"]) -> None:
    from tfprovisioner.kernelspecs import bug_report

    lines = [f"{diagnosis.name}: {diagnosis.problem or 'ok'}" for diagnosis in found]
    lines += [f"{diagnosis.name}: warning: {text}" for diagnosis in found for text in diagnosis.warnings]
    path = Path(bug_report.FILE)
    with answering():
        try:
            bug_report.write(path, lines)
        except OSError as error:
            raise ProvisionError(
                f"Cannot write {path}: {error.strerror}. Run the command in a folder that you can write to."
            ) from error
    say(f"Report: {path.absolute()}. Read it before you send it.")


def _described(diagnosis: "Diagnosis") -> Iterator[str]:
    """The lines on a kernel."""
    if diagnosis.mended is not None and diagnosis.ok:
        yield f"fixed with: {diagnosis.mended}"
    if diagnosis.findings is not None:
        yield f"ok ({', '.join(f'{key} {value}' for key, value in asdict(diagnosis.findings).items())})"
    else:
        yield str(diagnosis.problem)
    if diagnosis.gpus is not None:
        yield f"TensorFlow sees {', '.join(diagnosis.gpus) or 'no GPU'}"
    for text in diagnosis.warnings:
        yield f"warning: {text}"
    if diagnosis.ok and any("instead of" in text or "is missing" in text for text in diagnosis.warnings):
        yield "it works, but differs from the tested environment; --rebuild restores that"
    for text in diagnosis.notes:
        yield f"note: {text}"
    if diagnosis.remedy is not None:
        yield f"fix it with: {diagnosis.remedy}"


def gc(dry_run: shared_options.DryRun = False, as_json: shared_options.Json = False) -> None:
    """Remove environments that nothing uses, and unfinished builds.

    An environment is in use if it has a kernel in any Jupyter, or if a program runs from it.
    """
    from tfprovisioner.kernelspecs import gc

    with answering():
        found = gc.collect(dry_run)
    left = _complain_of_left(found)
    if as_json:
        print_json(found)
    else:
        removed = [item for item in found if not item.stays]
        _print_removed(removed, "would remove" if dry_run else "removed")
        freed, total = sum(item.freed for item in removed), sum(item.size for item in removed)
        print(
            f"{megabytes(total)}, of which {megabytes(freed)} are freed; uv's cache keeps the rest (uv cache clean)."
            if removed
            else "Nothing to remove."
        )
    if left:
        raise Exit(1)


def _complain_of_left(found: Sequence["Garbage"]) -> bool:
    left = [item for item in found if item.stays]
    for item in left:
        complain(f"{item.path} could not be removed: {item.stays}. Make that place writable and try again.")
    return bool(left)


def _print_removed(found: Sequence["Garbage"], verb: str) -> None:
    for item in found:
        if not item.stays:
            print(f"{verb} {item.path}: {item.why}{f', {megabytes(item.size)}' if item.size else ''}")
