"""Output of several kernels in one place, each line with the name of its kernel before it."""

from __future__ import annotations

import time
import uuid
from collections import deque
from typing import Callable, Mapping, Sequence

from tfkernels.output.relay import Bundle, Relay

LINE_TIMEOUT = 1.0  # seconds that an incomplete line (a progress bar) keeps those of other kernels waiting
MAX_LINE_LENGTH = 100_000  # characters; a line that has not ended by then is shown in pieces


def aligned(names: Sequence[str], end: str) -> dict[str, str]:
    """Prefixes of one width, by name."""
    width = max(len(name) for name in names)
    return {name: f"{name.ljust(width)} {end} " for name in names}


class PrefixedRelays:
    """Relays of several kernels that share one.

    One incomplete line can be on the screen. It stays that kernel's until it is complete, or its time is over and
    another kernel has one. Complete lines are shown at once.
    """

    def __init__(self, relay: Relay, prefixes: Mapping[str, str], live: Callable[[str], bool] = lambda _: True) -> None:
        """``prefixes`` by kernel; ``live`` says of a stream whether incomplete lines are shown."""
        self.relay = relay
        self.live = live
        self._relays = {name: PrefixedRelay(self, name, prefix) for name, prefix in prefixes.items()}
        self._owner: PrefixedRelay | None = None  # of the incomplete line on the screen
        self._since = 0.0
        self._display_owners: dict[str, str] = {}  # kernels by the ids of their displays

    def of(self, name: str) -> PrefixedRelay:
        return self._relays[name]

    def close(self) -> None:
        """Shows the incomplete lines."""
        for relay in self._relays.values():
            relay.end_line()

    def acquire_line(self, relay: PrefixedRelay, force: bool = False) -> bool:
        """Whether the incomplete line on the screen is now this relay's."""
        owner, now = self._owner, time.monotonic()
        if owner is not None and owner is not relay:
            if not force and now - self._since < LINE_TIMEOUT:
                return False
            owner.leave_line()
        if owner is not relay:
            self._owner, self._since = relay, now
        return True

    def release_line(self) -> None:
        self._owner = None

    def display_id(self, kernel: str, wanted: str) -> str:
        """The same code gives displays of several kernels the same id: the second gets another one."""
        return wanted if self._display_owners.setdefault(wanted, kernel) == kernel else f"{wanted}-{kernel}"


class PrefixedRelay(Relay):
    """Output of one of the kernels.

    A cell clears its own displays: its next ones take their places. Its lines stay among those of the others.
    """

    def __init__(self, shared: PrefixedRelays, kernel: str, prefix: str) -> None:
        self._shared = shared
        self._kernel = kernel
        self._prefix = prefix
        self._display_ids: dict[str, str] = {}  # ids of its displays here, by their ids in the kernel
        self._cleared: deque[str] = deque()  # ids of cleared displays, for the next ones
        self._blank_later = False  # whether they are visible until the next output
        self._stream = "stdout"
        self._line = ""  # the incomplete line, from its last carriage return on
        self._on_screen = False

    def stream(self, name: str, text: str) -> None:
        if name != self._stream:
            self.end_line()
            self._stream = name
        self._blank_cleared()
        *lines, rest = (self._line + text.replace("\r\n", "\n")).split("\n")
        if lines:
            self._shared.acquire_line(self, force=True)
            self._write("".join(f"{self._prefix}{_visible(line)}\n" for line in lines), ends=True)
            self._shared.release_line()
        self._line = _visible(rest) + "\r" * rest.endswith("\r")  # which takes effect with the next text
        if len(self._line) > MAX_LINE_LENGTH:
            self.end_line()
        elif self._line and self._shared.live(name) and self._shared.acquire_line(self):
            self._write(self._prefix + _visible(self._line), ends=False)

    def _write(self, text: str, ends: bool) -> None:
        """Writes over its incomplete line on the screen."""
        self._shared.relay.stream(self._stream, "\r" * self._on_screen + text)
        self._on_screen = not ends

    def leave_line(self) -> None:
        """Another kernel's line follows: the incomplete line stays on the screen, and is written again later."""
        if self._on_screen:
            self._shared.relay.stream(self._stream, "\n")
            self._on_screen = False

    def end_line(self) -> None:
        if self._line:
            self.stream(self._stream, "\n")

    def display(self, data: Bundle, metadata: Bundle, transient: Bundle, update: bool) -> None:
        self.end_line()
        wanted: str = transient.get("display_id") or ""
        if set(data) == {"text/plain"}:
            if not wanted:
                self.stream("stdout", f"{data['text/plain']}\n")
                return
            data = {"text/plain": "\n".join(self._prefix + line for line in data["text/plain"].split("\n"))}
        elif not update and not self._cleared:
            self.stream("stdout", "\n")
        if update:
            display_id = self._display_ids.get(wanted, wanted)
        elif self._cleared:
            display_id, update = self._cleared.popleft(), True
        else:
            display_id = self._shared.display_id(self._kernel, wanted or f"tfkernels-{uuid.uuid4().hex}")
        self._display_ids[wanted or display_id] = display_id
        self._shared.relay.display(data, metadata, {**transient, "display_id": display_id}, update)
        self._blank_cleared()

    def clear(self, wait: bool) -> None:
        self.end_line()
        if self._shared.relay.replaces:
            self._cleared.extend(found for found in self._display_ids.values() if found not in self._cleared)
            self._display_ids.clear()
            self._blank_later = True
            if not wait:
                self._blank_cleared()

    def _blank_cleared(self) -> None:
        """Makes cleared displays invisible; their places are kept for the next ones."""
        if self._blank_later:
            self._blank_later = False
            for display_id in self._cleared:
                self._shared.relay.display({"text/plain": ""}, {}, {"display_id": display_id}, update=True)

    def value(self, data: Bundle, metadata: Bundle) -> None:
        self.display(data, metadata, {}, update=False)

    @property
    def can_ask(self) -> bool:
        return self._shared.relay.can_ask

    def ask(self, prompt: str, password: bool) -> str:
        """Kernels ask one after another: the thread that waits for their cells handles one message at a time."""
        self.end_line()
        return self._shared.relay.ask(self._prefix + prompt, password)

    def starting(self, kernel: str) -> Callable[[], None]:
        if self._shared.relay.replaces:  # and nothing of it stays in the saved notebook
            return self._shared.relay.starting(kernel)
        self.stream("stderr", f"kernel {kernel} is starting\n")
        return lambda: self.stream("stderr", f"kernel {kernel} has started\n")

    def afterwards(self) -> Relay:
        return self._shared.relay.afterwards()


def _visible(line: str) -> str:
    """The visible part of a line with carriage returns."""
    return line.rstrip("\r").rsplit("\r", 1)[-1]
