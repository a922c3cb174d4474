"""``install --relax``: shows how requirements would be loosened, and asks."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from typer import confirm

from tfprovisioner.cli.console import complain, print_table, say

if TYPE_CHECKING:
    from tfprovisioner.requirements.request import InstallRequest


def agreed(
    requests: "Sequence[InstallRequest]", outcomes: Mapping[str, object], yes: bool, dry_run: bool
) -> "dict[str, InstallRequest]":
    """The requests that conflict with their requirements loosened, by kernel.

    None if the user does not agree, or cannot be asked.
    """
    from tfprovisioner.kernelspecs.install import relaxed
    from tfprovisioner.requirements.lines import without_hashes
    from tfprovisioner.resolution.conflicts.explain import Conflicts

    found = ((request, outcomes.get(request.kernel)) for request in requests)
    proposed = [(request, error) for request, error in found if isinstance(error, Conflicts) and error.changes]
    for request, conflicts in proposed:
        rows = [
            (without_hashes(change.old), change.new or "(removed)", change.version)
            for change in conflicts.changes or ()
        ]
        print_table((f"requirement of {request.kernel}", "loosened", "version"), rows, errors=True)
    loosened = {request.kernel: relaxed(request, conflicts) for request, conflicts in proposed}
    if not loosened or yes:
        return loosened
    if dry_run:
        say("To plan the installation with these changes, add --yes.")
        return {}
    if not sys.stdin.isatty():
        commands = "\n".join(request.command for request in loosened.values())
        complain(f"Nothing was changed: --relax cannot ask here. Run the same command with --yes, or:\n{commands}")
        return {}
    if confirm("Install with these changes?", err=True):
        return loosened
    say("Nothing was changed.")
    return {}
