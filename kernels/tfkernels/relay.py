"""What another kernel prints and displays, shown here as if a cell of this process had produced it."""

from __future__ import annotations

import sys
from typing import Any, Mapping

from tfkernels.channels import Message

Bundle = Mapping[str, Any]


class Result:
    """The last expression's value of a cell that ran elsewhere, as that kernel rendered it."""

    def __init__(self, data: Bundle, metadata: Bundle) -> None:
        self._data = data
        self._metadata = metadata

    def _repr_mimebundle_(self, **_: Any) -> tuple[Bundle, Bundle]:
        return self._data, self._metadata

    def __repr__(self) -> str:
        return str(self._data.get("text/plain", ""))


class Relay:
    """Plain processes: streams go to ``sys.stdout`` and ``sys.stderr``, displays are printed as text."""

    def __init__(self) -> None:
        self.result: Result | None = None

    def handle(self, message: Message) -> None:
        """One message of the other kernel's iopub channel."""
        kind, content = message["header"]["msg_type"], message["content"]
        if kind == "stream":
            self.stream(content["name"], content["text"])
        elif kind in ("display_data", "update_display_data"):
            transient = content.get("transient") or {}
            self.display(content["data"], content["metadata"], transient, update=kind.startswith("update"))
        elif kind == "clear_output":
            self.clear(content["wait"])
        elif kind == "execute_result":
            # A cell may have several (ast_node_interactivity); only the last one becomes this cell's own result.
            if self.result is not None:
                self.display(*self.result._repr_mimebundle_(), transient={}, update=False)
            self.result = Result(content["data"], content["metadata"])

    def stream(self, name: str, text: str) -> None:
        target = sys.stderr if name == "stderr" else sys.stdout
        target.write(text)
        target.flush()

    def display(self, data: Bundle, metadata: Bundle, transient: Bundle, update: bool) -> None:  # noqa: ARG002
        """Text is all that a plain process shows."""
        print(data.get("text/plain", ""))

    def clear(self, wait: bool) -> None:
        """A plain stream cannot take back what it printed."""

    def ask(self, prompt: str, password: bool) -> str:
        """What the user answers to ``input()`` or ``getpass()`` in the other kernel."""
        if password:
            from getpass import getpass

            return getpass(prompt)
        return input(prompt)

    @property
    def can_ask(self) -> bool:
        return sys.stdin is not None and sys.stdin.isatty()


class ShellRelay(Relay):
    """Inside IPython: displays go through its publisher, so that ``%%capture`` and output widgets see them."""

    def __init__(self, shell: Any) -> None:
        super().__init__()
        self._shell = shell

    def display(self, data: Bundle, metadata: Bundle, transient: Bundle, update: bool) -> None:
        self._shell.display_pub.publish(data=data, metadata=metadata, transient=transient, update=update)

    def clear(self, wait: bool) -> None:
        self._shell.display_pub.clear_output(wait=wait)

    @property
    def can_ask(self) -> bool:
        kernel = getattr(self._shell, "kernel", None)
        # No public name says whether the client of the running cell can be asked (papermill cannot).
        return super().can_ask if kernel is None else bool(kernel._allow_stdin)  # noqa: SLF001 (see above)


def here() -> Relay:
    """The relay that fits this process."""
    ipython = sys.modules.get("IPython")  # a process that has not imported it is not running in it
    shell = ipython.get_ipython() if ipython else None
    return Relay() if shell is None else ShellRelay(shell)
