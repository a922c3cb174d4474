"""Kernels that run already, another notebook's, under a name of this process."""

from __future__ import annotations

import os
import re

from tfkernels.client import discovery, kernelspecs
from tfkernels.client import kernel as remote
from tfkernels.client.attached import AttachedProcess
from tfkernels.client.connection import KernelConnection
from tfkernels.client.visiting import AttachedConnection
from tfkernels.errors import UnknownKernel, UsageError

PATIENCE = 3.0
"""Seconds that a kernel has to answer at once."""

_SHORT = 4
"""Characters of a kernel's id that make a name of its own."""


class AttachedKernel(remote.Kernel):
    """A kernel that somebody else started: used like one of our own, and never ended. Its variables are its notebook's.

    While its own notebook runs a cell, ours waits there, and an interrupt takes it back.
    """

    owned = False

    def __init__(self, name: str, kernel: discovery.Running) -> None:
        self._kernel = kernel
        super().__init__(name)

    def _look_up(self) -> None:
        try:
            self._kernel = discovery.find(str(self._kernel.file))
        except UnknownKernel as error:
            raise UnknownKernel(
                f"kernel {self.name} was attached to {self._kernel.file}, and that runs no more; %tfkernels attach "
                f"lists what does"
            ) from error

    def _begin(self, greeting: str) -> KernelConnection:
        return AttachedConnection(self.name, AttachedProcess(self._kernel), greeting)

    @property
    def busy(self) -> bool:
        """Whether a cell runs there, one of its own notebook's too, or one of ours waits."""
        return super().busy or (isinstance(self._conversation, AttachedConnection) and self._conversation.engaged)

    @property
    def title(self) -> str:
        what = " ".join(part for part in (self._kernel.kernel, self._kernel.notebook) if part)
        return f"attached to {what}, {self._kernel.id}"

    @property
    def magic(self) -> str:
        return f"%%{self.name}"

    @property
    def file(self) -> str:
        return str(self._kernel.file)

    def meet(self) -> None:
        """Finds out whether it can be used. One whose notebook runs a cell cannot say so now."""
        self.begin()
        talk = self._conversation
        if talk is not None and talk.ready.wait(PATIENCE) and talk.failure is not None:
            self._conversation = None
            raise talk.failed()

    @property
    def remark(self) -> str:
        """What to know before the first cell; mostly nothing."""
        if self.state == "starting":
            return "its own notebook runs a cell; yours wait for it"
        why = self._conversation.unreachable if self._conversation is not None else ""
        return f"no values can be passed: it runs {why}" if why else ""

    def restart(self) -> None:
        """Raises ``UsageError``: its own notebook's user would lose the variables."""
        raise UsageError(
            f"kernel {self.name} was not started here, so it is not restarted from here; restart it in its own notebook"
        )


def attach(kernel: str | os.PathLike[str], name: str | None = None) -> AttachedKernel:
    """A kernel that runs already, by its connection file, its id, or the beginning of that.

    ``name`` is what its magic is called from now on, and what ``tfkernels.kernel`` finds it by. Raises
    ``UnknownKernel`` if none such runs, ``UsageError`` if the name is somebody else's or the kernel this one itself.
    """
    found = discovery.find(os.fspath(kernel))
    if discovery.own() == found.file:
        raise UsageError("that is this notebook's own kernel; its cells need no magic")
    name = name or f"{_plain(found.kernel)}-{_plain(found.id)[:_SHORT]}"
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name):
        raise UsageError(f"{name!r} cannot be a magic's name; take letters, digits and . _ -")
    known = remote.known.get(name)
    if isinstance(known, AttachedKernel) and known.file == str(found.file):
        known.meet()
        return known
    free = known is None or (isinstance(known, AttachedKernel) and not known.started)
    if not free or name in kernelspecs.find():
        raise UsageError(f"there is a kernel {name!r} already; give this one another name: --as NAME, or name=…")
    made = AttachedKernel(name, found)
    made.meet()
    remote.known[name] = made
    return made


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._]+", "", text) or "kernel"
