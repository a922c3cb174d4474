"""Errors of cells in the kernel that is called: each has one message, and the reply of its cell has the same.

IPython prints an exception group without a message, and ipykernel then fails over the reply, or puts an older traceback
into it. Python 3.6 and newer, ipykernel 5 to 7, IPython 7 to 9. See docs/design/kernel-side.md.
"""

import builtins
import functools
import threading
import traceback
import typing
from contextlib import ExitStack, contextmanager, suppress

from IPython.core import interactiveshell
from IPython.core.error import UsageError

from tfkernels import protocol

Reply = typing.Dict[str, typing.Any]

_OUR_FRAMES = ("tfkernels.", "ipykernel.", "IPython.")

# IPython imports the backport before Python 3.11.
_GROUP: typing.Any = getattr(interactiveshell, "BaseExceptionGroup", getattr(builtins, "BaseExceptionGroup", ()))


class _Cell(threading.local):
    """The cell that runs now; subshells run theirs in other threads."""

    called = False
    """Whether another kernel called it, which raises its error there."""
    result: typing.Any = None
    """IPython's result, once the code of the cell runs."""
    error: typing.Optional[Reply] = None
    """The error that ended it, as in a reply."""


class CellErrors:
    """The display of errors of one shell, around its own."""

    def __init__(self, shell: typing.Any, foreign: bool) -> None:
        """In a ``foreign`` shell, only cells of other kernels have anything new."""
        self._shell = shell
        self._foreign = foreign
        self._cell = _Cell()
        self._native_send = shell._showtraceback  # noqa: SLF001 (the place to override, as IPython documents)
        self._native_show = shell.showtraceback
        run_code = shell.run_code

        @functools.wraps(run_code)
        async def noted(code: typing.Any, result: typing.Any = None, **options: typing.Any) -> typing.Any:
            self._cell.result = result if self._cell.result is None else self._cell.result
            return await run_code(code, result, **options)

        shell.run_code = noted
        shell._showtraceback = self._send  # noqa: SLF001
        shell.showtraceback = self._show

    def begin(self, called: bool) -> None:
        """Before each cell: an error of an earlier one is not this one's."""
        self._cell.called, self._cell.result, self._cell.error = called, None, None
        self._shell._last_traceback = None  # noqa: SLF001 (ipykernel puts it into the reply)

    def completed(self, reply: Reply) -> Reply:
        """The reply with the error that ended the cell."""
        error, self._cell.called = self._cell.error, False
        return {**reply, **error} if error is not None and reply["status"] == "error" else reply

    def lines(self, error: BaseException, frames: typing.Any) -> typing.List[str]:
        """The traceback as IPython shows it, without our frames; or Python's own where that fails."""
        while frames is not None and frames.tb_frame.f_globals.get("__name__", "").startswith(_OUR_FRAMES):
            frames = frames.tb_next
        if not _has_group(error):  # IPython shows no more of a group than its message
            with suppress(Exception):  # the formatter raises anything
                return list(self._shell.InteractiveTB.structured_traceback(type(error), error, frames))
        return "".join(traceback.format_exception(type(error), error, frames)).splitlines()

    def _show(self, exc_tuple: typing.Any = None, *args: typing.Any, **options: typing.Any) -> None:
        shell = self._shell
        error: typing.Any = None
        frames = None
        with suppress(ValueError):  # there is none to show
            _, error, frames = shell._get_exc_info(exc_tuple)  # noqa: SLF001 (which `%debug` gets, too)
        if self._cell.called and type(error) is UsageError and self._ends_cell(error):
            shell._showtraceback(UsageError, error, [f"UsageError: {error}"])  # noqa: SLF001 (see above)
        elif self._is_printed(error) and not options.get("exception_only"):
            shell._showtraceback(type(error), error, self.lines(error, frames))  # noqa: SLF001 (see above)
            if shell.call_pdb:
                shell.debugger(force=True)
        else:
            self._native_show(exc_tuple, *args, **options)

    def _is_printed(self, error: typing.Any) -> bool:
        """Whether IPython would print an error as a group, without a message."""
        ours = self._cell.called or not self._foreign
        return ours and not isinstance(error, (SyntaxError, UsageError)) and _has_group(error)

    def _send(self, kind: typing.Any, error: typing.Any, lines: typing.Any) -> None:
        lines = list(lines or ())  # a `_render_traceback_` of the user's may return nothing
        called, ends, pdb = self._cell.called, self._ends_cell(error), self._shell.call_pdb
        with self._marked() if called and ends and not pdb else ExitStack():
            self._native_send(kind, error, lines)
        if called and pdb:  # the user read it before the debugger began
            lines = self._shell.InteractiveTB.get_exception_only(kind, error)
        if ends:
            self._cell.error = {"ename": str(kind.__name__), "evalue": str(error), "traceback": lines}

    def _ends_cell(self, error: typing.Any) -> bool:
        """Whether the cell probably ends with the error that is shown now: if not, its reply says "ok"."""
        shell, result = self._shell, self._cell.result
        if getattr(shell.displayhook, "msg", None) is not None and hasattr(shell, "_last_traceback_during_displayhook"):
            return True  # ipykernel 7 ends a cell whose value cannot be shown
        return result is None or error is result.error_before_exec or error is result.error_in_exec

    @contextmanager
    def _marked(self) -> typing.Iterator[None]:
        """Messages have a mark; of the message of an error it is read."""
        session = self._shell.displayhook.session
        before = session.metadata
        session.metadata = {**before, protocol.ENDS_CELL: True}
        try:
            yield
        finally:
            session.metadata = before


def _has_group(error: typing.Optional[BaseException]) -> bool:
    """Whether IPython takes it for a group: itself, or what was handled when it was raised."""
    return error is not None and (isinstance(error, _GROUP) or _has_group(error.__context__))
