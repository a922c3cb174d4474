"""Output of scripts that run at the same time: labelled lines; colours and progress bars on a terminal only."""

import os
import shutil
import sys
from collections.abc import Sequence
from typing import TextIO

from tfkernels.output.line_prefix import PrefixedRelay, PrefixedRelays, aligned
from tfkernels.output.relay import Relay

_COLOURS = (36, 33, 35, 32, 34, 31)
"""Cyan, yellow, magenta, green, blue, red; red last, it looks like an error."""


class ScriptOutput(Relay):
    """Standard output and standard error of the command; or standard error for both streams."""

    def __init__(self, names: Sequence[str], *, errors_only: bool = False) -> None:
        self._errors_only = errors_only
        labels = aligned(names, "|")
        self._width = len(labels[names[0]])
        prefixes = {}
        for stream in ("stdout", "stderr"):  # each stream of a script has lines of its own
            coloured = self.live(stream) and not os.environ.get("NO_COLOR")
            for place, (name, label) in enumerate(labels.items()):
                colour = _COLOURS[place % len(_COLOURS)]
                prefixes[f"{name} {stream}"] = f"\x1b[{colour}m{label}\x1b[0m" if coloured else label
        self._labels = PrefixedRelays(self, prefixes, self.live)

    def of(self, name: str, stream: str) -> PrefixedRelay:
        return self._labels.of(f"{name} {stream}")

    def variables(self) -> dict[str, str]:
        """The width beside a label, for progress bars: a program that writes to a pipe cannot ask for it."""
        if not (self.live("stdout") or self.live("stderr")):
            return {}
        return {"COLUMNS": str(max(20, shutil.get_terminal_size().columns - self._width))}

    def live(self, stream: str) -> bool:
        """Whether an incomplete line (a progress bar) is shown. In a file or a pipe it would become many lines."""
        return self._target(stream).isatty() and os.environ.get("TERM") != "dumb"

    def stream(self, name: str, text: str) -> None:
        target = self._target(name)
        encoding = target.encoding or "utf-8"
        target.write(text.encode(encoding, "replace").decode(encoding))  # what the terminal's encoding lacks
        target.flush()

    def _target(self, name: str) -> TextIO:
        return sys.stderr if name == "stderr" or self._errors_only else sys.stdout
