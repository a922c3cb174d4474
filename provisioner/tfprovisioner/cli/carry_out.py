"""Carrying out requests of installation: ``install`` of releases, of locks and of notebooks prints the same."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from typer import Exit

from tfprovisioner.cli import install_output, relaxing
from tfprovisioner.cli.console import INTERRUPTED, answering, complain, print_json, say

if TYPE_CHECKING:
    from tfprovisioner.kernelspecs.install import Installed
    from tfprovisioner.kernelspecs.plan import Plan
    from tfprovisioner.progress import Reporter
    from tfprovisioner.requirements.request import InstallRequest


@dataclass
class _Run:
    """Installs or plans kernels, prints what comes of each, and keeps it for JSON."""

    dry_run: bool
    as_json: bool
    several: bool
    places: Mapping[str, str]
    planner: "Callable[[InstallRequest, Reporter], Plan] | None"
    again: Mapping[str, str]
    outcomes: "dict[str, Installed | Plan | Exception]" = field(default_factory=dict)

    def report(self, request: "InstallRequest", outcome: "Installed | Plan | Exception") -> None:
        """Prints an outcome."""
        from tfprovisioner.resolution.conflicts.explain import Conflicts

        self.outcomes[request.kernel] = outcome
        if isinstance(outcome, Exception):
            problem = outcome.text(self.places) if isinstance(outcome, Conflicts) else outcome
            complain(f"{request.kernel}: {problem}" if self.several else problem)
        elif not self.as_json:
            install_output.show(outcome)

    def carry_out(self, requests: "Sequence[InstallRequest]") -> "Sequence[InstallRequest]":
        """Returns those that were left because the user interrupted."""
        if not requests:
            return ()
        from tfprovisioner.kernelspecs import plan
        from tfprovisioner.kernelspecs.install import Interrupted, for_all, install_all

        try:
            with answering(failed=install_output.failure if self.as_json else None):
                if self.dry_run:
                    for_all(requests, self.planner or plan.of, self.report)
                else:
                    install_all(requests, self.report)
        except Interrupted as interrupted:
            for request in interrupted.requests:
                command = self.again.get(request.kernel, request.command)
                say(f"{request.kernel}: interrupted, nothing changed. Again: {command}")
            return interrupted.requests
        return ()


def carry_out(
    requests: "Sequence[InstallRequest]",
    dry_run: bool = False,
    as_json: bool = False,
    planner: "Callable[[InstallRequest, Reporter], Plan] | None" = None,
    again: Mapping[str, str] | None = None,
    places: Mapping[str, str] | None = None,
    yes: bool = False,
    notes: Mapping[str, Sequence[str]] | None = None,
    there: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Installs, or plans it, and prints what came of it. Exits if a request failed or the user interrupted.

    ``planner`` makes the plans of a dry run, if they are not of an index. ``again`` are the commands that make kernels,
    if these are not those of their requests.
    ``places`` has the files and numbers of the lines that requirements are from. With ``yes``, those that conflict are
    loosened without a question, if the requests ask for that. ``notes`` were said already of each kernel. ``there`` are
    further kernels for the JSON document.
    """
    run = _Run(dry_run, as_json, len(requests) > 1, places or {}, planner, again or {})
    left = run.carry_out(requests)
    loosened = {} if left else relaxing.agreed(requests, run.outcomes, yes, dry_run)
    if loosened:
        left = run.carry_out(list(loosened.values()))
        requests = [loosened.get(request.kernel, request) for request in requests]
    if as_json:
        said = notes or {}
        kernels = [(request, run.outcomes.get(request.kernel), said.get(request.kernel, ())) for request in requests]
        print_json([*there, *(install_output.document(*kernel) for kernel in kernels)])
    if left:
        raise Exit(INTERRUPTED)
    if any(isinstance(outcome, Exception) for outcome in run.outcomes.values()):
        raise Exit(1)
    for request in loosened.values() if not dry_run else ():
        say(f"{request.kernel}: the same kernel again: {request.command}")
