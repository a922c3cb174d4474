"""Carrying out requests of installation: ``install`` of releases, of locks and of notebooks prints the same."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from typer import Exit

from tfprovisioner.cli import install_output
from tfprovisioner.cli.console import INTERRUPTED, answering, complain, print_json, say

if TYPE_CHECKING:
    from tfprovisioner.environments.request import InstallRequest
    from tfprovisioner.kernelspecs.install import Installed
    from tfprovisioner.kernelspecs.plan import Plan
    from tfprovisioner.progress import Reporter


def carry_out(
    requests: "Sequence[InstallRequest]",
    dry_run: bool = False,
    as_json: bool = False,
    planner: "Callable[[InstallRequest, Reporter], Plan] | None" = None,
    again: "Mapping[str, str] | None" = None,
) -> None:
    """Installs, or plans it, and prints what came of it. Exits if a request failed or the user interrupted.

    ``planner`` makes the plans of a dry run, if they are not of an index. ``again`` are the commands that make kernels,
    if these are not those of their requests.
    """
    from tfprovisioner.kernelspecs import plan
    from tfprovisioner.kernelspecs.install import Interrupted, for_all, install_all

    outcomes: dict[str, Installed | Plan | Exception] = {}

    def report(request: "InstallRequest", outcome: "Installed | Plan | Exception") -> None:
        outcomes[request.kernel] = outcome
        if isinstance(outcome, Exception):
            complain(f"{request.kernel}: {outcome}" if len(requests) > 1 else outcome)
        elif not as_json:
            install_output.show(outcome)

    left: Sequence[InstallRequest] = ()
    try:
        with answering(failed=install_output.failure if as_json else None):
            if dry_run:
                for_all(requests, planner or plan.of, report)
            else:
                install_all(requests, report)
    except Interrupted as interrupted:
        left = interrupted.requests
        for request in left:
            command = (again or {}).get(request.kernel, request.command)
            say(f"{request.kernel}: interrupted, nothing changed. Again: {command}")
    if as_json:
        print_json([install_output.document(request, outcomes.get(request.kernel)) for request in requests])
    if left:
        raise Exit(INTERRUPTED)
    if any(isinstance(outcome, Exception) for outcome in outcomes.values()):
        raise Exit(1)
