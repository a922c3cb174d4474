"""The output of several kernels in one place, each line labelled with where it comes from."""

from __future__ import annotations

import time
from typing import Sequence

from tfkernels.relay import Bundle, Relay, shown

TURN = 1.0
"""Seconds that a line which is not complete (a progress bar) keeps the others' incomplete ones waiting."""


class Labels:
    """Shares out one relay. One incomplete line can be on the screen: the floor is that kernel's until the line is
    complete, or another one has waited for its turn; complete lines are shown at once."""

    def __init__(self, show: Relay, names: Sequence[str]) -> None:
        self.show = show
        width = max(len(name) for name in names)
        self._relays = {name: LabelledRelay(self, f"{name.ljust(width)} │ ") for name in names}
        self._floor: LabelledRelay | None = None
        self._since = 0.0

    def of(self, name: str) -> LabelledRelay:
        return self._relays[name]

    def close(self) -> None:
        """Shows what is not complete."""
        for one in self._relays.values():
            one.complete()

    def take(self, one: LabelledRelay, always: bool = False) -> bool:
        """Whether the line that is begun may now be this one's."""
        now = time.monotonic()
        if self._floor is not one:
            if self._floor is not None and not always and now - self._since < TURN:
                return False
            if self._floor is not None:
                self._floor.interrupted()
            self._floor, self._since = one, now
        return True

    def leave(self, one: LabelledRelay) -> None:
        if self._floor is one:
            self._floor = None


class LabelledRelay(Relay):
    """One kernel's part of the output."""

    can_ask = False

    def __init__(self, labels: Labels, label: str) -> None:
        self._labels = labels
        self._label = label
        self._stream = "stdout"
        self._line = ""  # that is not complete; what was before its last carriage return is gone
        self._on_screen = False

    def stream(self, name: str, text: str) -> None:
        if name != self._stream:
            self.complete()
            self._stream = name
        *lines, rest = (self._line + text.replace("\r\n", "\n")).split("\n")
        if lines:
            self._labels.take(self, always=True)
            begin = "\r" if self._on_screen else ""
            whole = "".join(f"{self._label}{_last(line)}\n" for line in lines)
            self._labels.show.stream(self._stream, begin + whole)
            self._on_screen = False
            self._labels.leave(self)
        self._line = _last(rest, keep=True)
        if self._line and self._labels.take(self):
            begin = "\r" if self._on_screen else ""
            self._labels.show.stream(self._stream, begin + self._label + _last(self._line))
            self._on_screen = True

    def interrupted(self) -> None:
        """Somebody else takes the floor: what is on the screen stays there, and is written again later."""
        if self._on_screen:
            self._labels.show.stream(self._stream, "\n")
            self._on_screen = False

    def complete(self) -> None:
        if self._line:
            self.stream(self._stream, "\n")

    def display(self, data: Bundle, metadata: Bundle, transient: Bundle, update: bool) -> None:
        self.complete()
        if not update:
            plain = data.get("text/plain", "")
            if set(data) == {"text/plain"}:
                self.stream("stdout", f"{plain}\n")
                return
            self.stream("stdout", "\n")
        self._labels.show.display(data, metadata, transient, update)

    def value(self, data: Bundle, metadata: Bundle) -> None:
        self.display(data, metadata, {}, update=False)

    def error(self, error: BaseException) -> None:
        self.stream("stderr", "\n".join(shown(error)) + "\n")

    def starting(self, kernel: str) -> None:
        self.stream("stderr", f"kernel {kernel} is starting\n")

    def started(self, kernel: str) -> None:
        self.stream("stderr", f"kernel {kernel} has started\n")

    def afterwards(self) -> Relay:
        return self._labels.show.afterwards()


def _last(line: str, keep: bool = False) -> str:
    """What is seen of a line with carriage returns; one at its end takes effect with what comes after it."""
    ended = line.endswith("\r")
    seen = line.rstrip("\r").rsplit("\r", 1)[-1]
    return seen + "\r" if keep and ended else seen
