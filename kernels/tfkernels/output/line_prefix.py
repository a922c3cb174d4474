"""The output of several kernels in one place, each line labelled with where it comes from."""

from __future__ import annotations

import time
import uuid
from collections import deque
from typing import Callable, Mapping, Sequence

from tfkernels.output.relay import Bundle, Relay, shown

TURN = 1.0
"""Seconds that a line which is not complete (a progress bar) keeps the others' incomplete ones waiting."""

LONGEST = 100_000
"""Characters. A line that has not ended by then is shown in pieces."""


def aligned(names: Sequence[str], end: str) -> dict[str, str]:
    """Labels as long as each other."""
    width = max(len(name) for name in names)
    return {name: f"{name.ljust(width)} {end} " for name in names}


class Labels:
    """Shares out one relay. One incomplete line can be on the screen: the floor is that kernel's until the line is
    complete, or another one has waited for its turn; complete lines are shown at once."""

    def __init__(self, show: Relay, labels: Mapping[str, str], live: Callable[[str], bool] = lambda _: True) -> None:
        """``labels`` by kernel; ``live`` says of a stream whether lines are shown that have not ended."""
        self.show = show
        self.live = live
        self._relays = {name: LabelledRelay(self, name, label) for name, label in labels.items()}
        self._floor: LabelledRelay | None = None
        self._since = 0.0
        self._owners: dict[str, str] = {}  # of the displays, by their ids

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

    def identity(self, kernel: str, wanted: str) -> str:
        """Of a display. The same code gives several kernels' displays the same id: the second gets another one."""
        return wanted if self._owners.setdefault(wanted, kernel) == kernel else f"{wanted}-{kernel}"

    def leave(self, one: LabelledRelay) -> None:
        if self._floor is one:
            self._floor = None


class LabelledRelay(Relay):
    """One kernel's part of the output.

    What the cell clears are its own displays: the next ones take their places. Lines are among those of the others, and
    stay.
    """

    def __init__(self, labels: Labels, kernel: str, label: str) -> None:
        self._labels = labels
        self._kernel = kernel
        self._label = label
        self._places: dict[str, str] = {}  # of its displays: what their ids are here, by those that they have there
        self._cleared: deque[str] = deque()
        self._waits = False  # whether those are seen until something else comes
        self._stream = "stdout"
        self._line = ""  # that is not complete; what was before its last carriage return is gone
        self._on_screen = False

    def stream(self, name: str, text: str) -> None:
        if name != self._stream:
            self.complete()
            self._stream = name
        self._blank()
        *lines, rest = (self._line + text.replace("\r\n", "\n")).split("\n")
        if lines:
            self._labels.take(self, always=True)
            begin = "\r" if self._on_screen else ""
            whole = "".join(f"{self._label}{_last(line)}\n" for line in lines)
            self._labels.show.stream(self._stream, begin + whole)
            self._on_screen = False
            self._labels.leave(self)
        self._line = _last(rest, keep=True)
        if len(self._line) > LONGEST:
            self.complete()
        elif self._line and self._labels.live(name) and self._labels.take(self):
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
        wanted: str = transient.get("display_id") or ""
        if set(data) == {"text/plain"}:
            if not wanted:
                self.stream("stdout", f"{data['text/plain']}\n")
                return
            data = {"text/plain": "\n".join(self._label + line for line in data["text/plain"].split("\n"))}
        elif not update and not self._cleared:
            self.stream("stdout", "\n")
        if update:
            place = self._places.get(wanted, wanted)
        elif self._cleared:
            place, update = self._cleared.popleft(), True
        else:
            place = self._labels.identity(self._kernel, wanted or f"tfkernels-{uuid.uuid4().hex}")
        self._places[wanted or place] = place
        self._labels.show.display(data, metadata, {**transient, "display_id": place}, update)
        self._blank()

    def clear(self, wait: bool) -> None:
        self.complete()
        if self._labels.show.replaces:
            self._cleared.extend(place for place in self._places.values() if place not in self._cleared)
            self._places.clear()
            self._waits = True
            if not wait:
                self._blank()

    def _blank(self) -> None:
        """What was cleared is not seen any more; its places are kept for what comes."""
        if self._waits:
            self._waits = False
            for place in self._cleared:
                self._labels.show.display({"text/plain": ""}, {}, {"display_id": place}, update=True)

    def value(self, data: Bundle, metadata: Bundle) -> None:
        self.display(data, metadata, {}, update=False)

    def error(self, error: BaseException) -> None:
        self.stream("stderr", "\n".join(shown(error)) + "\n")

    @property
    def can_ask(self) -> bool:
        return self._labels.show.can_ask

    def ask(self, prompt: str, password: bool) -> str:
        """They ask one after another: whoever attends to the cells handles one message at a time."""
        self.complete()
        return self._labels.show.ask(self._label + prompt, password)

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
