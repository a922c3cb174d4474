"""What fills prefixes: py-rattler, or the user's own conda if that was asked for."""

from pathlib import Path

from tfprovisioner.conda import channels, executable, prefixes
from tfprovisioner.conda.prefixes import Wanted
from tfprovisioner.progress import Reporter


def fill(prefix: Path, wanted: Wanted, program: str | None, report: Reporter) -> None:
    """Installs what is wanted into a new prefix. Raises ``BuildFailed``, and ``Lacking`` before anything is written."""
    if "defaults" in wanted.channels:
        report.note(channels.TERMS)
    own = executable.chosen(program)
    if own is None:
        prefixes.fill(prefix, wanted, report)
    else:
        executable.fill(own, prefix, wanted, report)
    prefixes.write_explicit(prefix)
