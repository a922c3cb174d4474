"""The releases that can load a file, the best first: the writer's line, then later ones."""

from collections.abc import Callable, Sequence

from tfprovisioner.catalogue import releases
from tfprovisioner.catalogue.releases import order_of
from tfprovisioner.conversion.kernels import Wanted

FAMOUS = ("1.15", "2.11", "2.15", "2.4", "2.0")
"""Lines of which one is chosen among several that could have written a file, the preferred one first."""

LATER = ("1.15", "2.4", "2.11", "2.15")
"""Lines that are tried after the writer's: the last ones that read what older ones wrote."""

FIRST_OF_KERAS_3 = "2.16"


def of(written_by: Sequence[str], is_ready: Callable[[Wanted], bool]) -> list[Wanted]:
    """The candidates for a file, the best first.

    ``written_by`` is the exact release, the oldest and the newest line that it can be (the newest is empty if there is
    no end), or nothing. Only the first candidate may have to be built: others are tried if they are there already.
    """
    lines = list(releases.lines())
    possible = _possible(written_by, lines)
    ranked = sorted(possible, key=lambda line: (_famous(line), -lines.index(line)))
    first = next((line for line in ranked if is_ready(Wanted(line))), ranked[0]) if len(ranked) > 1 else ranked[0]
    after = [line for line in LATER if lines.index(line) > lines.index(first)]
    others = [line for line in (*ranked, *after) if line != first and is_ready(Wanted(line))]
    return [Wanted(line) for line in dict.fromkeys([first, *others])]


def _possible(written_by: Sequence[str], lines: Sequence[str]) -> Sequence[str]:
    known = [_line(release) for release in written_by if release]
    if len(written_by) == 1 and known[0] in lines:
        return known
    if not known:
        return FAMOUS
    oldest = order_of(known[0])
    newest = order_of(known[1]) if len(known) > 1 else (99,)
    found = [line for line in lines if oldest <= order_of(line) <= newest]
    if not found:
        return [lines[-1]]
    # Keras 3 reads what earlier ones of its own wrote, but not the reverse.
    return [lines[-1]] if len(known) == 1 and known[0] == FIRST_OF_KERAS_3 else found


def _line(release: str) -> str:
    return ".".join(release.split(".")[:2])


def _famous(line: str) -> int:
    return FAMOUS.index(line) if line in FAMOUS else len(FAMOUS)
