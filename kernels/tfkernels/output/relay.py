"""What another kernel prints and displays, shown here as if a cell of this process had produced it."""

from __future__ import annotations

import sys
from typing import Any, Callable, Dict, Iterable, Mapping, Union

from tfkernels.protocol import Message

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


def joined(messages: Iterable[Message]) -> list[Message]:
    """Neighbours of the same stream and cell as one message: showing a message costs much more than a line does."""
    found: list[Message] = []
    for message in messages:
        last = found[-1] if found else None
        if last is not None and _stream(last) and _stream(message) == _stream(last):
            content = message["content"]
            found[-1] = {**message, "content": {**content, "text": last["content"]["text"] + content["text"]}}
        else:
            found.append(message)
    return found


def _stream(message: Message) -> tuple[str, str] | None:
    if message["header"]["msg_type"] != "stream":
        return None
    return message["content"]["name"], message["parent_header"].get("msg_id", "")


class Relay:
    """Plain processes: streams go to ``sys.stdout`` and ``sys.stderr``, displays are printed as text."""

    @property
    def replaces(self) -> bool:
        """Whether a display can be replaced by another one later."""
        return False

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
            self.value(content["data"], content["metadata"])
        elif kind == "error":
            self.traceback(content)

    def stream(self, name: str, text: str) -> None:
        target = sys.stderr if name == "stderr" else sys.stdout
        target.write(text)
        target.flush()

    def display(self, data: Bundle, metadata: Bundle, transient: Bundle, update: bool) -> None:  # noqa: ARG002
        """Text is all that a plain process shows."""
        print(data.get("text/plain", ""))

    def clear(self, wait: bool) -> None:
        """A plain stream cannot take back what it printed."""

    def value(self, data: Bundle, metadata: Bundle) -> None:
        """The cell's last expression. A plain process has its outputs, and shows none."""

    def error(self, error: BaseException) -> None:
        """An error that nobody raises here: a cell in the background failed."""
        self.stream("stderr", "\n".join(shown(error)) + "\n")

    def traceback(self, content: Bundle) -> None:
        """An error that was shown there and did not end a cell: a widget's, or in an ``Output`` widget."""
        self.stream("stderr", "\n".join(content["traceback"]) + "\n")

    def starting(self, kernel: str) -> None:
        """The cell waits for a kernel that is starting."""
        self.stream("stderr", f"kernel {kernel} is starting")

    def started(self, kernel: str) -> None:
        """It need not wait any more."""
        self.stream("stderr", "\r" + " " * len(f"kernel {kernel} is starting") + "\r")

    def ask(self, prompt: str, password: bool) -> str:
        """What the user answers to ``input()`` or ``getpass()`` in the other kernel."""
        if password:
            from getpass import getpass

            return getpass(prompt)
        return input(prompt)

    @property
    def can_ask(self) -> bool:
        return sys.stdin is not None and sys.stdin.isatty()

    def afterwards(self) -> Relay:
        """The same place for what comes when the cell here has returned, from any thread. Nobody can be asked then,
        and a value is displayed."""
        return Afterwards()


class ShellRelay(Relay):
    """Inside IPython: displays go through its publisher, so that ``%%capture`` and output widgets see them."""

    def __init__(self, shell: Any, alone: bool = False) -> None:
        """``alone``: whether the cell here does nothing else, so that its output may be cleared at its start, and its
        value is that of the cell there."""
        self._shell = shell
        self._alone = alone
        self._kernel = getattr(shell, "kernel", None)  # not in a terminal
        self._parent = shell.get_parent() if self._kernel is not None else {}

    def display(self, data: Bundle, metadata: Bundle, transient: Bundle, update: bool) -> None:
        self._shell.display_pub.publish(data=data, metadata=metadata, transient=transient, update=update)

    def clear(self, wait: bool) -> None:
        self._shell.display_pub.clear_output(wait=wait)

    def value(self, data: Bundle, metadata: Bundle) -> None:
        # At once: what comes after it, such as the figure of `plt.plot(x)`, is to stand below.
        if self._alone:
            sys.displayhook(Result(data, metadata))

    def traceback(self, content: Bundle) -> None:
        self.afterwards().traceback(content)

    @property
    def replaces(self) -> bool:
        return self._kernel is not None

    def starting(self, kernel: str) -> None:
        if self._alone or self._kernel is None:
            super().starting(kernel)
        else:
            self._announce(kernel, f"kernel {kernel} is starting", update=False)

    def started(self, kernel: str) -> None:
        if self._kernel is None:
            super().started(kernel)
        elif self._alone:
            self.clear(wait=False)
        else:
            self._announce(kernel, "", update=True)

    def _announce(self, kernel: str, text: str, update: bool) -> None:
        self.display({"text/plain": text}, {}, {"display_id": f"tfkernels-{id(self)}-{kernel}"}, update)

    @property
    def can_ask(self) -> bool:
        # No public name says whether the client of the running cell can be asked (papermill cannot).
        return super().can_ask if self._kernel is None else bool(self._kernel._allow_stdin)  # noqa: SLF001 (see above)

    def afterwards(self) -> Relay:
        return Afterwards() if self._kernel is None else CellRelay(self._kernel, self._parent)


class Afterwards(Relay):
    """Plain processes and terminals, while something else runs in the foreground."""

    can_ask = False

    def value(self, data: Bundle, metadata: Bundle) -> None:
        self.display(data, metadata, {}, update=False)

    def afterwards(self) -> Relay:
        return self


class CellRelay(Afterwards):
    """Under a certain cell of a notebook, from any thread and at any time.

    The messages are sent with that cell's header as their parent. ``sys.stdout`` and the display publisher would put
    them under the cell that runs now: in ipykernel 6 their parent is one for the process, in 7 one for each context.
    """

    def __init__(self, kernel: Any, parent: Message) -> None:
        self._kernel = kernel
        self.parent = parent

    replaces = True

    def publish(self, kind: str, content: Mapping[str, Any]) -> None:
        kernel = self._kernel
        kernel.session.send(kernel.iopub_socket, kind, content, parent=self.parent, ident=kind.encode())

    def stream(self, name: str, text: str) -> None:
        self.publish("stream", {"name": name, "text": text})

    def display(self, data: Bundle, metadata: Bundle, transient: Bundle, update: bool) -> None:
        kind = "update_display_data" if update else "display_data"
        self.publish(kind, {"data": data, "metadata": metadata, "transient": transient})

    def clear(self, wait: bool) -> None:
        self.publish("clear_output", {"wait": wait})

    def error(self, error: BaseException) -> None:
        self.traceback({"ename": type(error).__name__, "evalue": str(error), "traceback": shown(error)})

    def traceback(self, content: Bundle) -> None:
        self.publish("error", content)


def shown(error: BaseException) -> list[str]:
    """An error's lines as IPython would show them."""
    render = getattr(error, "_render_traceback_", None)
    return list(render()) if render is not None else [f"{type(error).__name__}: {error}"]


class FunctionRelay(Afterwards):
    """A function of the user's gets every output, as a dict of the form that notebooks store it in."""

    def __init__(self, function: Callable[[dict[str, Any]], Any]) -> None:
        self._function = function

    replaces = True

    def stream(self, name: str, text: str) -> None:
        self._function({"output_type": "stream", "name": name, "text": text})

    def display(self, data: Bundle, metadata: Bundle, transient: Bundle, update: bool) -> None:
        kind = "update_display_data" if update else "display_data"
        self._function({"output_type": kind, "data": data, "metadata": metadata, "transient": transient})

    def clear(self, wait: bool) -> None:
        self._function({"output_type": "clear_output", "wait": wait})

    def value(self, data: Bundle, metadata: Bundle) -> None:
        self._function({"output_type": "execute_result", "data": data, "metadata": metadata})

    def error(self, error: BaseException) -> None:
        self.traceback({"ename": type(error).__name__, "evalue": str(error), "traceback": shown(error)})

    def traceback(self, content: Bundle) -> None:
        self._function({"output_type": "error", **content})


Show = Union[Relay, Callable[[Dict[str, Any]], Any], None]


def of(show: Show) -> Relay:
    """Where a user wants output to go."""
    if show is None:
        return here()
    return show if isinstance(show, Relay) else FunctionRelay(show)


def here() -> Relay:
    """The relay that fits this process."""
    ipython = sys.modules.get("IPython")  # a process that has not imported it is not running in it
    shell = ipython.get_ipython() if ipython else None
    return Relay() if shell is None else ShellRelay(shell)
