"""What a batch consists of: one run for every notebook, kernel and set of parameters. Nothing is started here."""

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any


@dataclass(frozen=True)
class Run:
    """One notebook, or script, on one kernel with one set of parameters."""

    name: str
    """No other run of the batch has it; its files are called so: ``train-tf1``, ``train-tf1-lr=0.1``."""
    source: str
    """The notebook or script as the user named it: a path, or an address that papermill reads."""
    kernel: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """What papermill puts into the notebook; plain values that JSON has."""

    @property
    def case(self) -> str:
        """What runs that are compared with each other have in common: the source and the parameters, as text."""
        # Sorted, as a notebook's metadata have them: a run that has ended and one that has not are of the same case.
        chosen = ", ".join(f"{name}={_shown(value)}" for name, value in sorted(self.parameters.items()))
        return f"{self.source} ({chosen})" if chosen else self.source

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def expand(
    sources: Sequence[str],
    kernels: Sequence[str],
    parameters: Mapping[str, Any] | None = None,
    grid: Mapping[str, Sequence[Any]] | None = None,
) -> list[Run]:
    """Every source on every kernel with every combination of the grid's values; the runs of a kernel together.

    What is named twice is run once. Names are made of what tells runs apart.
    """
    grid = grid or {}
    combinations = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    stems = _stems(list(dict.fromkeys(sources)))
    taken: set[str] = set()
    return [
        Run(
            _free("-".join([stem, kernel, *(f"{name}={_shown(value)}" for name, value in chosen.items())]), taken),
            source,
            kernel,
            {**(parameters or {}), **chosen},
        )
        for kernel in dict.fromkeys(kernels)
        for source, stem in stems.items()
        for chosen in combinations
    ]


def _stems(sources: Sequence[str]) -> dict[str, str]:
    """A name for each source: its file's, with as many of its folders as tell it from the others."""
    parts = {source: _parts(source) for source in sources}
    names = {}
    for source, mine in parts.items():
        others = [theirs for other, theirs in parts.items() if other != source]
        length = next((n for n in range(1, len(mine)) if not any(o[-n:] == mine[-n:] for o in others)), len(mine))
        names[source] = "-".join(mine[-length:])
    return names


def _parts(source: str) -> list[str]:
    path = PurePosixPath(re.sub(r"^[a-z0-9]+://", "", source.replace("\\", "/")))
    return [part for part in (*path.parent.parts, path.stem) if part not in ("/", ".", "..")] or ["run"]


def _free(name: str, taken: set[str]) -> str:
    """A file name of at most 120 characters, on any system, that is not taken yet."""
    safe = re.sub(r"[^\w.=+-]+", "_", name, flags=re.ASCII)[:110].strip("._") or "run"
    free = next(name for name in _numbered(safe) if name.lower() not in taken)
    taken.add(free.lower())
    return free


def _numbered(name: str) -> Iterator[str]:
    yield name
    for number in itertools.count(2):
        yield f"{name}-{number}"


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
