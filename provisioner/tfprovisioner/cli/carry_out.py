"""Carrying out requests of installation: ``install`` of releases, of locks and of notebooks prints the same."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from typer import Exit

from tfprovisioner.cli.console import INTERRUPTED, answering, complain, megabytes, say

if TYPE_CHECKING:
    from tfprovisioner.environments.request import InstallRequest
    from tfprovisioner.kernelspecs.install import Installed, Outcome


def carry_out(requests: "Sequence[InstallRequest]") -> None:
    """Installs, and prints what came of it. Exits if a request failed or the user interrupted."""
    from tfprovisioner.kernelspecs.install import Interrupted, install_all

    failures = []

    def report(request: "InstallRequest", outcome: "Outcome") -> None:
        if isinstance(outcome, Exception):
            failures.append(outcome)
            complain(f"{request.kernel}: {outcome}" if len(requests) > 1 else outcome)
        else:
            _print_installed(outcome)

    try:
        with answering():
            install_all(requests, report)
    except Interrupted as interrupted:
        for request in interrupted.requests:
            say(f"{request.kernel}: interrupted, nothing changed. Again: {request.command}")
        raise Exit(INTERRUPTED) from None
    if failures:
        raise Exit(1)


def _print_installed(done: "Installed") -> None:
    from tfprovisioner.catalogue import releases
    from tfprovisioner.requirements.lines import without_hashes

    made = done.environment
    facts = f"TensorFlow {made.recipe.tensorflow}, Python {made.python_version}, {megabytes(made.size)}"
    told = [f"{done.state}. {facts}. Kernel: {done.kernelspec}, environment: {made.folder}"]
    if done.extras:
        extras, older = (", ".join(map(without_hashes, listed)) for listed in (done.extras, done.kept))
        told.append(f"with {extras}" + (f" (kept: {older}; --without removes a package)" if older else ""))
    if done.choices:
        told.append(f"as in the last install: {' '.join(done.choices)}")
    for line in told:
        print(f"{done.name}: {line}", flush=True)
    for text in done.warnings:
        say(f"{done.name}: warning: {text}")
    if made.recipe.as_of:
        tried = "TensorFlow was imported and ran an operation; nothing else was tried."
        say(f"{done.name}: the packages of {made.recipe.as_of} were not tested together. {tried}")
    elif made.recipe.backend == "uv":
        caution = releases.caution(releases.find(made.recipe.tensorflow), made.recipe.python)
        if caution:
            say(f"{done.name}: {caution}")
