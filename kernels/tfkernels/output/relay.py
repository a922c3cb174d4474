"""Relays: output of another kernel, shown here as if a cell of this process had produced it."""

from __future__ import annotations

import abc
import getpass
import itertools
import sys
import uuid
from typing import Any, Callable, Dict, Iterable, Iterator, Mapping, Union

from tfkernels.errors import as_native
from tfkernels.protocol import Message

Bundle = Mapping[str, Any]


class Relay:
    """Plain processes: streams go to ``sys.stdout`` and ``sys.stderr``, displays are printed as text."""

    replaces = False
    """Whether a display can be replaced by another one later."""

    def handle(self, message: Message) -> None:
        """Shows one message of the other kernel's iopub channel."""
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
        """Prints the text; a plain process shows nothing else."""
        print(data.get("text/plain", ""))

    def clear(self, wait: bool) -> None:
        """A plain stream cannot take back its text."""

    def value(self, data: Bundle, metadata: Bundle) -> None:
        """The value of the cell's last expression. A plain process has its outputs, and shows none."""

    def error(self, error: BaseException) -> None:
        """Shows an error that is raised nowhere here: a cell in the background failed."""
        error = as_native(error)
        kind = type(error).__name__
        render = getattr(error, "_render_traceback_", lambda: [f"{kind}: {error}"])  # as IPython would show it
        self.traceback({"ename": kind, "evalue": str(error), "traceback": list(render())})

    def traceback(self, content: Bundle) -> None:
        """Shows an error that ended no cell: a widget's, or in an ``Output`` widget."""
        self.stream("stderr", "\n".join(content["traceback"]) + "\n")

    def starting(self, kernel: str) -> Callable[[], None]:
        """Shows that the cell waits for a kernel that is starting. Call the result when it has started."""
        notice = f"kernel {kernel} is starting"
        if self.replaces:
            transient = {"display_id": f"tfkernels-{uuid.uuid4().hex}"}
            self.display({"text/plain": notice}, {}, transient, update=False)
            return lambda: self.display({"text/plain": ""}, {}, transient, update=True)
        self.stream("stderr", notice)
        return lambda: self.stream("stderr", "\r" + " " * len(notice) + "\r")

    def ask(self, prompt: str, password: bool) -> str:
        """The user's answer to ``input()`` or ``getpass()`` in the other kernel."""
        return getpass.getpass(prompt) if password else input(prompt)  # ipykernel replaces both while a cell runs

    @property
    def can_ask(self) -> bool:
        return sys.stdin is not None and sys.stdin.isatty()

    def afterwards(self) -> Relay:
        """The relay to the same place for output that comes when the cell here has returned, from any thread.

        It displays values and cannot ask.
        """
        return BackgroundRelay()


class BackgroundRelay(Relay):
    """Plain processes and terminals, while something else runs in the foreground."""

    can_ask = False

    def value(self, data: Bundle, metadata: Bundle) -> None:
        self.display(data, metadata, {}, update=False)

    def afterwards(self) -> Relay:
        return self


class MessageRelay(BackgroundRelay, abc.ABC):
    """A place that takes whole messages, from any thread and at any time."""

    replaces = True

    @abc.abstractmethod
    def publish(self, kind: str, content: Mapping[str, Any]) -> None: ...

    def stream(self, name: str, text: str) -> None:
        self.publish("stream", {"name": name, "text": text})

    def display(self, data: Bundle, metadata: Bundle, transient: Bundle, update: bool) -> None:
        kind = "update_display_data" if update else "display_data"
        self.publish(kind, {"data": data, "metadata": metadata, "transient": transient})

    def clear(self, wait: bool) -> None:
        self.publish("clear_output", {"wait": wait})

    def traceback(self, content: Bundle) -> None:
        self.publish("error", content)


class CellRelay(MessageRelay):
    """Under a certain cell of a notebook: the messages have that cell's header as their parent."""

    def __init__(self, kernel: Any, parent: Message) -> None:
        self._kernel = kernel
        self.parent = parent

    def publish(self, kind: str, content: Mapping[str, Any]) -> None:
        kernel = self._kernel
        kernel.session.send(kernel.iopub_socket, kind, content, parent=self.parent, ident=kind.encode())


class FunctionRelay(MessageRelay):
    """A function of the user's gets every output, as a dict of the form that notebooks store it in."""

    def __init__(self, function: Callable[[dict[str, Any]], Any]) -> None:
        self._function = function

    def publish(self, kind: str, content: Mapping[str, Any]) -> None:
        self._function({"output_type": kind, **content})

    def value(self, data: Bundle, metadata: Bundle) -> None:
        self.publish("execute_result", {"data": data, "metadata": metadata})


class ShellRelay(Relay):
    """Inside IPython: displays go through its publisher, so that ``%%capture`` and output widgets see them."""

    def __init__(self, shell: Any, magic: str = "") -> None:
        """``magic`` is what runs a cell, such as ``%%tf1``: its value is shown as that of the cell here."""
        self._shell = shell
        self._magic = magic
        self._kernel = getattr(shell, "kernel", None)  # not in a terminal
        self._parent = shell.get_parent() if self._kernel is not None else {}
        self.replaces = self._kernel is not None
        code = self._parent.get("content", {}).get("code", "")
        self._alone = code.split(maxsplit=1)[:1] == [magic]  # else the cell here may have output of its own

    def display(self, data: Bundle, metadata: Bundle, transient: Bundle, update: bool) -> None:
        self._shell.display_pub.publish(data=data, metadata=metadata, transient=transient, update=update)

    def clear(self, wait: bool) -> None:
        self._shell.display_pub.clear_output(wait=wait)

    def value(self, data: Bundle, metadata: Bundle) -> None:
        # At once: what comes after it, such as the figure of `plt.plot(x)`, belongs below.
        if self._magic:
            sys.displayhook(Result(data, metadata))

    def traceback(self, content: Bundle) -> None:
        self.afterwards().traceback(content)

    def starting(self, kernel: str) -> Callable[[], None]:
        take_back = super().starting(kernel)
        return (lambda: self.clear(wait=False)) if self._alone else take_back

    @property
    def can_ask(self) -> bool:
        # No public name says whether the client of the running cell can be asked (papermill cannot).
        return super().can_ask if self._kernel is None else bool(self._kernel._allow_stdin)  # noqa: SLF001 (see above)

    def afterwards(self) -> Relay:
        return BackgroundRelay() if self._kernel is None else CellRelay(self._kernel, self._parent)


class Result:
    """The value of the last expression of a cell in another kernel, as that kernel rendered it."""

    def __init__(self, data: Bundle, metadata: Bundle) -> None:
        self._data = data
        self._metadata = metadata

    def _repr_mimebundle_(self, **_: Any) -> tuple[Bundle, Bundle]:
        return self._data, self._metadata

    def __repr__(self) -> str:
        return str(self._data.get("text/plain", ""))


Show = Union[Relay, Callable[[Dict[str, Any]], Any], None]
"""Where output goes: a relay, a function, or (``None``) here."""


def relay_for(show: Show) -> Relay:
    """The relay of a user's ``show``; for ``None`` the one that fits this process."""
    if show is not None:
        return show if isinstance(show, Relay) else FunctionRelay(show)
    ipython = sys.modules.get("IPython")  # a process that has not imported it is not running in it
    shell = ipython.get_ipython() if ipython else None
    return Relay() if shell is None else ShellRelay(shell)


def joined(messages: Iterable[Message]) -> Iterator[Message]:
    """Neighbours of the same stream and cell as one message: showing a message costs much more than a line does."""
    for stream, neighbours in itertools.groupby(messages, _stream):
        first, *more = neighbours
        if stream is not None and more:
            text = "".join(message["content"]["text"] for message in (first, *more))
            first, more = {**first, "content": {**first["content"], "text": text}}, []
        yield from (first, *more)


def _stream(message: Message) -> tuple[str, str] | None:
    if message["header"]["msg_type"] != "stream":
        return None
    return message["content"]["name"], message["parent_header"].get("msg_id", "")
