"""Hooks around execute requests in the kernel that is called: inputs are bound before the cell, outputs sent after it.

``protocol`` has the format of requests. Outputs are written to the caller's segment; large ones go to a segment of the
inputs that no array uses any more. A request with a cancel token is dropped if its caller has withdrawn it, or is gone.
Python 3.6 and newer, ipykernel 5 to 7, IPython 7 to 9; NumPy is imported with the first value.
"""

import asyncio
import contextlib
import fcntl
import functools
import inspect
import os
import traceback
import typing

import ipykernel

from tfkernels import protocol
from tfkernels.errors import ExchangeError, MissingPackage, TFKernelsError
from tfkernels.kernel_side import complete, stdout
from tfkernels.kernel_side.interrupt import StopButton
from tfkernels.transfer.shared_memory.mapping_cache import DEFAULT_IDLE_SECONDS, idle_seconds

if typing.TYPE_CHECKING:
    from tfkernels.transfer.message import Descriptor
    from tfkernels.transfer.shared_memory.segment import Address

Reply = typing.Dict[str, typing.Any]


def install_hooks(kernel: typing.Any, foreign: bool = False) -> None:
    """From now on ``kernel`` takes values along. A second time nothing changes.

    In a ``foreign``, a kernel that is not one of tfkernels, requests of others are answered as ever.
    """
    if not isinstance(getattr(kernel, "tfkernels", None), Exchange):
        kernel.tfkernels = Exchange(kernel, foreign)
        kernel.shell_handlers["execute_request"] = kernel.tfkernels.execute_request
        kernel.do_execute = kernel.tfkernels.do_execute
        complete.install_hook(kernel)


def _awaited(method: typing.Any) -> typing.Any:
    """ipykernel 5, the last for Python 3.6, waits for futures and takes a coroutine for the reply itself."""
    if ipykernel.version_info[0] >= 6:
        return method
    return functools.wraps(method)(lambda *args, **options: asyncio.ensure_future(method(*args, **options)))


async def _result(returned: typing.Any) -> typing.Any:
    """Of a method that returns what it has, or something to wait for: releases of ipykernel differ."""
    return await returned if inspect.isawaitable(returned) else returned


class Exchange:
    """Belongs to one kernel and stands before its ``execute_request`` and ``do_execute``."""

    def __init__(self, kernel: typing.Any, foreign: bool) -> None:
        self._kernel = kernel
        self._foreign = foreign
        self._shell = kernel.shell
        self._handle = kernel.shell_handlers["execute_request"]
        self._native = kernel.do_execute
        self._cancel_token: typing.Optional[int] = None
        self._pause = kernel._execute_sleep  # noqa: SLF001 (a setting, under that name)
        self._tidying: typing.Optional[asyncio.TimerHandle] = None
        self._stop_button = StopButton(kernel.shell)

    @_awaited
    async def execute_request(self, *message: typing.Any) -> None:
        """Once it has published the cell, its sender knows that an interrupt is for that cell."""
        asked = self._request()
        if self._foreign and not asked:
            await _result(self._handle(*message))
            return
        self._stop_button.listen(asyncio.get_event_loop())
        with self._stop_button.waiting(), self._hurried(bool(asked)):
            await _result(self._handle(*message))

    @contextlib.contextmanager
    def _hurried(self, asked: bool) -> typing.Iterator[None]:
        """ipykernel waits before it replies, so that clients which go on at the reply have seen what was printed. Those
        who send such a request go on when they have seen that the kernel is idle, which comes after all of that."""
        self._kernel._execute_sleep = 0 if asked else self._pause  # noqa: SLF001
        try:
            yield
        finally:
            self._kernel._execute_sleep = self._pause  # noqa: SLF001

    @_awaited
    async def do_execute(
        self,
        code: str,
        silent: bool,
        store_history: bool = True,
        user_expressions: typing.Optional[typing.Dict[str, str]] = None,
        allow_stdin: bool = False,
        **options: typing.Any,
    ) -> Reply:
        if self._foreign and not self._request():
            native = self._native(code, silent, store_history, user_expressions, allow_stdin, **options)
            return typing.cast(Reply, await _result(native))
        reply = await self._do_execute(code, silent, store_history, user_expressions, allow_stdin, **options)
        stdout.drain()
        return reply

    def _request(self) -> typing.Dict[str, typing.Any]:
        """What came along with the request."""
        return (self._shell.get_parent().get("metadata") or {}).get("tfkernels") or {}

    async def _do_execute(
        self,
        code: str,
        silent: bool,
        store_history: bool,
        user_expressions: typing.Optional[typing.Dict[str, str]],
        allow_stdin: bool,
        **options: typing.Any,
    ) -> Reply:
        exchange: typing.Dict[str, typing.Any] = {}
        try:
            asked = self._request()
            exchange = protocol.check_request(asked) if asked else {}
            if exchange.get("cancel_token") and not self._take(exchange["cancel_token"]):
                raise ExchangeError("the cell was withdrawn while it waited here")
            if exchange.get("inputs") or exchange.get("outputs"):
                self._tidy_later()
            if exchange.get("inputs"):
                self._shell.user_ns.update(_parcel().unpack(exchange["inputs"]))
            native = self._native(code, silent, store_history, user_expressions, allow_stdin, **options)
            reply = await _result(native)
            if exchange.get("outputs") and reply["status"] == "ok":
                self._kernel._forward_input(allow_stdin)  # noqa: SLF001 (`%tf1 input()` asks in the notebook, too)
                try:
                    with self._stop_button.reaching():
                        reply["tfkernels"] = self._collect(exchange)
                finally:
                    self._kernel._restore_input()  # noqa: SLF001
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 (everything needs an answer)
            # ipykernel would send no reply at all, and whoever waits for one would wait for ever: it happens when
            # IPython 7.34's traceback formatter itself raises on an error inside TensorFlow.
            return self._failed(error, exchange)
        return typing.cast(Reply, reply)

    def _take(self, cancel_token: "Address") -> bool:
        """Whether the sender's file is still there, and its lock free. It stays taken until the next one is: who sent
        the cell may hear later than it ends that it ever began."""
        if self._cancel_token is not None:
            os.close(self._cancel_token)
            self._cancel_token = None
        try:
            descriptor = os.open(cancel_token["path"], os.O_RDWR)
        except OSError:
            return False
        found = os.fstat(descriptor)
        try:
            if (found.st_dev, found.st_ino) != (cancel_token["device"], cancel_token["inode"]):
                raise OSError("another file has its name by now")
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._cancel_token = descriptor
        return True

    def _collect(self, exchange: typing.Dict[str, typing.Any]) -> "Descriptor":
        outputs: typing.Dict[str, str] = exchange["outputs"]
        parcels = _parcel()
        from tfkernels.transfer.shared_memory.reader import can_be_overwritten
        from tfkernels.transfer.shared_memory.segment import MIN_MAPPED_BYTES
        from tfkernels.transfer.shared_memory.writer import open_for_writing

        parcel = parcels.ValueMessage(
            {name: self._evaluate(text, exchange["kernel"]) for name, text in outputs.items()}
        )
        large = parcel.size >= MIN_MAPPED_BYTES
        address = next(
            (each for each in exchange["reuse_input_segments"] if large and can_be_overwritten(each, parcel.size)), None
        )
        address = address or exchange["segment"]
        with open_for_writing(address) as descriptor:
            written: Descriptor = parcel.write(descriptor, address, once=True)
        return written

    def _tidy_later(self) -> None:
        """Memory does not stay mapped for long. Whoever owns it may have let it go, or was killed, and cannot tell."""
        if self._tidying is None:
            self._tidying = asyncio.get_event_loop().call_later(max(_idle() / 2, 1.0), self._tidy)

    def _tidy(self) -> None:
        from tfkernels.transfer.shared_memory import reader, writer

        self._tidying = None
        for kept in (reader.cache, writer.cache):
            kept.expire(_idle())
        if reader.cache or writer.cache or reader.views():
            self._tidy_later()

    def _evaluate(self, expression: str, kernel: str) -> typing.Any:
        if expression.isidentifier() and expression not in self._shell.user_ns:
            try:
                return self._shell.ev(expression)  # a builtin, or a constant such as None
            except NameError:
                raise ExchangeError(
                    f"there is no {expression!r} in kernel {kernel} after the cell ran, so nothing was bound here; "
                    f"assign {expression} there, or write the name that the cell does set"
                ) from None
        return self._shell.ev(expression)

    def _failed(self, error: BaseException, exchange: typing.Dict[str, typing.Any]) -> Reply:
        ours = isinstance(error, TFKernelsError)
        if isinstance(error, MissingPackage) and exchange:
            error = error.seen_from(exchange["kernel"], exchange["magic"])
        return {
            "status": "error",
            "ename": type(error).__name__,
            "evalue": str(error),
            "traceback": [str(error)] if ours else self._traceback(error),
            "execution_count": self._shell.execution_count,
            "user_expressions": {},
            "payload": [],
            "exchange_failed": ours,
        }

    def _traceback(self, error: BaseException) -> typing.List[str]:
        """As IPython shows it, without our own frames; plainly, if IPython's formatter is what failed."""
        frames = error.__traceback__
        while frames is not None and frames.tb_frame.f_globals.get("__name__", "").startswith(_OUR_FRAMES):
            frames = frames.tb_next
        try:
            lines: typing.List[str] = self._shell.InteractiveTB.structured_traceback(type(error), error, frames)
        except Exception:  # noqa: BLE001 (see above)
            return traceback.format_exception(type(error), error, error.__traceback__)
        return lines


def _idle() -> float:
    try:
        return idle_seconds()
    except ValueError:  # the side that called says so
        return DEFAULT_IDLE_SECONDS


def _parcel() -> typing.Any:
    """The module of parcels, which needs NumPy. Raises ``MissingPackage`` in an environment that has none."""
    try:
        from tfkernels.transfer import message as parcel
    except ImportError as error:
        raise MissingPackage("numpy", "a request with values", str(error)) from error
    return parcel


_OUR_FRAMES = ("tfkernels.", "ipykernel.", "IPython.")
