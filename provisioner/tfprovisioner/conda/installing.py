"""What fills prefixes: py-rattler, or the user's own conda if that was asked for."""

from pathlib import Path

from tfprovisioner.conda import channels, solve, user_conda
from tfprovisioner.conda.solve import PackageRequest
from tfprovisioner.progress import Reporter


def fill(prefix: Path, wanted: PackageRequest, program: str | None, report: Reporter) -> None:
    """Installs what is wanted into a new prefix. Raises ``BuildFailed``, and ``Lacking`` before anything is written."""
    if "defaults" in wanted.channels:
        report.note(channels.TERMS)
    own = user_conda.chosen(program)
    if own is None:
        solve.fill(prefix, wanted, report)
    else:
        user_conda.fill(own, prefix, wanted, report)
    solve.write_explicit(prefix)
