"""Hooks around execute requests in the kernel that is called: inputs are bound before the cell, outputs sent after it.

``protocol`` has the format of requests. Outputs are written to the caller's segment; large ones go to a segment of the
inputs that no array uses any more. A request with a cancel token is dropped if its caller has withdrawn it, or is gone.
Python 3.6 and newer, ipykernel 5 to 7, IPython 7 to 9; NumPy is imported with the first value.
"""

import asyncio
import fcntl
import functools
import importlib
import inspect
import os
import typing

import ipykernel

from tfkernels import protocol, start_notes
from tfkernels.errors import ExchangeError, MissingPackage, TFKernelsError, UsageError
from tfkernels.imports import own_imports
from tfkernels.kernel_side import complete, lost_requests, stdout, values
from tfkernels.kernel_side.cell_errors import CellErrors
from tfkernels.kernel_side.interrupt import Interrupts
from tfkernels.transfer.shared_memory import segment

Reply = typing.Dict[str, typing.Any]


def install_hooks(kernel: typing.Any, foreign: bool = False) -> None:
    """Makes a kernel pass values with execute requests. A second call changes nothing.

    A ``foreign`` kernel, one that is not of tfkernels, answers all other requests as before.
    """
    if not isinstance(getattr(kernel, "tfkernels", None), Hooks):
        kernel.tfkernels = Hooks(kernel, foreign)
        kernel.shell_handlers["execute_request"] = kernel.tfkernels.execute_request
        kernel.do_execute = kernel.tfkernels.do_execute
        complete.install_hook(kernel)
        lost_requests.prevent(kernel)


def as_future(method: typing.Any) -> typing.Any:
    """For ipykernel 5, the last one for Python 3.6, which takes a coroutine for the reply itself."""
    if ipykernel.version_info[0] >= 6:
        return method
    return functools.wraps(method)(lambda *args, **options: asyncio.ensure_future(method(*args, **options)))


async def result(returned: typing.Any) -> typing.Any:
    """The result of a method that is a coroutine in some releases of ipykernel."""
    return await returned if inspect.isawaitable(returned) else returned


class Hooks:
    """The ``execute_request`` and ``do_execute`` of one kernel, around its own."""

    def __init__(self, kernel: typing.Any, foreign: bool) -> None:
        self._kernel = kernel
        self._foreign = foreign
        self._shell = kernel.shell
        self._native_request = kernel.shell_handlers["execute_request"]
        self._native_execute = kernel.do_execute
        self._cancel_token: typing.Optional[int] = None
        self._pause = kernel._execute_sleep  # noqa: SLF001 (a setting, under that name)
        self._expiry: typing.Optional[asyncio.TimerHandle] = None
        self._errors = CellErrors(kernel.shell, foreign)
        self._interrupts = Interrupts(kernel.shell)

    @as_future
    async def execute_request(self, *message: typing.Any) -> None:
        request = self._request()
        if self._foreign and not request:
            await result(self._native_request(*message))
            return
        self._interrupts.wake_loop(asyncio.get_event_loop())
        # No pause before the reply to our client: it waits for the idle message, which comes after.
        self._kernel._execute_sleep = 0 if request else self._pause  # noqa: SLF001
        try:
            with self._interrupts.deferred():
                await result(self._native_request(*message))
        finally:
            self._kernel._execute_sleep = self._pause  # noqa: SLF001

    @as_future
    async def do_execute(self, *arguments: typing.Any, **options: typing.Any) -> Reply:
        async def run() -> Reply:
            return self._errors.completed(await result(self._native_execute(*arguments, **options)))

        self._errors.begin(called=bool(self._request()))
        if self._foreign and not self._request():
            return await run()
        reply = await self._exchange(run)
        stdout.drain()
        return reply

    def _request(self) -> typing.Dict[str, typing.Any]:
        """What another kernel wants with the request that is handled now."""
        return (self._shell.get_parent().get("metadata") or {}).get("tfkernels") or {}

    async def _exchange(self, run: typing.Callable[[], typing.Awaitable[Reply]]) -> Reply:
        """Binds the inputs, runs the cell and adds the outputs to its reply."""
        request: typing.Dict[str, typing.Any] = {}
        try:
            request = protocol.check_request(self._request()) if self._request() else {}
            self._bind_inputs(request)
            reply = await run()
            self._add_outputs(request, reply)
        except BaseException as error:  # noqa: BLE001 (the caller would wait for ever for a reply)
            return self._failure(error, request)
        return reply

    def exchange_values(self) -> Reply:
        """The reply to a request without code: IPython does not take part (see ``values``)."""
        request: typing.Dict[str, typing.Any] = {}
        try:
            with self._interrupts.deferred():
                request = protocol.check_request(self._request())
                self._bind_inputs(request)
                reply: Reply = {"status": "ok"}
                self._add_outputs(request, reply)
                return reply
        except BaseException as error:  # noqa: BLE001 (see above)
            return self._failure(error, request)

    def _bind_inputs(self, request: typing.Dict[str, typing.Any]) -> None:
        if request.get("cancel_token") and not self._take_cancel_token(request["cancel_token"]):
            raise ExchangeError("The cell was withdrawn while it waited here.")
        if request.get("inputs") or request.get("outputs"):
            self._expire_later()
        if request.get("inputs"):
            self._shell.user_ns.update(_module("decoder").unpack(request["inputs"]))

    def _add_outputs(self, request: typing.Dict[str, typing.Any], reply: Reply) -> None:
        if request:
            reply["notes_dropped"] = start_notes.dropped(os.environ)
            reply["values_read"] = values.are_read(self._kernel)
        if request.get("outputs") and reply["status"] == "ok":
            allow_stdin = self._shell.get_parent()["content"]["allow_stdin"]
            self._kernel._forward_input(allow_stdin)  # noqa: SLF001 (`%tf1 input()` asks in the notebook, too)
            try:
                with self._interrupts.allowed():
                    reply["tfkernels"] = self._write_outputs(request)
            finally:
                self._kernel._restore_input()  # noqa: SLF001

    def _take_cancel_token(self, address: segment.Address) -> bool:
        """Whether the caller's file is still there and this kernel could lock it.

        It stays locked until the next token: the caller may hear of the cell's begin after its end.
        """
        if self._cancel_token is not None:
            os.close(self._cancel_token)
            self._cancel_token = None
        try:
            self._cancel_token = segment.open_segment(address)
            fcntl.flock(self._cancel_token, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (ExchangeError, OSError):
            return False
        return True

    def _write_outputs(self, request: typing.Dict[str, typing.Any]) -> typing.Any:
        """Returns their descriptor."""
        encoder = _module("encoder")
        with own_imports():
            from tfkernels.transfer.shared_memory.reader import can_be_overwritten
            from tfkernels.transfer.shared_memory.writer import open_for_writing

        values = {name: self._evaluate(text, request["kernel"]) for name, text in request["outputs"].items()}
        # The values are in no variable when they are written: memory of arrays without a name is released early.
        packed = encoder.ValueMessage(values)
        del values
        reusable = request["reuse_input_segments"] if packed.size >= segment.MIN_MAPPED_BYTES else []
        address = next((address for address in reusable if can_be_overwritten(address, packed.size)), None)
        address = address or request["segment"]
        with open_for_writing(address) as descriptor:
            return packed.write(descriptor, address, once=True)

    def _expire_later(self) -> None:
        """Frees mapped memory after a while. Its owner may have released it, or was killed, and cannot tell."""
        if self._expiry is None:
            try:
                seconds = segment.idle_seconds()
            except UsageError:  # the calling kernel reports it
                seconds = segment.DEFAULT_IDLE_SECONDS
            self._expiry = asyncio.get_event_loop().call_later(max(seconds / 2, 1.0), self._expire, seconds)

    def _expire(self, seconds: float) -> None:
        with own_imports():
            from tfkernels.transfer.shared_memory import reader, writer

        self._expiry = None
        for cache in (reader.cache, writer.cache):
            cache.expire(seconds)
        if reader.cache or writer.cache or reader.views():
            self._expire_later()

    def _evaluate(self, expression: str, kernel: str) -> typing.Any:
        if expression in self._shell.user_ns and expression.isidentifier():
            return self._shell.user_ns[expression]  # a compilation of each of a thousand names takes 10 ms
        try:
            return self._shell.ev(expression)
        except NameError:
            if not expression.isidentifier():
                raise
            raise ExchangeError(
                f"There is no {expression!r} in kernel {kernel} after the cell ran, so nothing was bound here. Assign "
                f"{expression} there, or write the name that the cell sets."
            ) from None

    def _failure(self, error: BaseException, request: typing.Dict[str, typing.Any]) -> Reply:
        ours = isinstance(error, TFKernelsError)
        if isinstance(error, MissingPackage) and request:
            error.kernel, error.magic = request["kernel"], request["magic"]
        return {
            "status": "error",
            "ename": type(error).__name__,
            "evalue": str(error),
            "traceback": [str(error)] if ours else self._errors.lines(error, error.__traceback__),
            "execution_count": self._shell.execution_count,
            "user_expressions": {},
            "payload": [],
            "values_read": values.are_read(self._kernel),
            "exchange_failed": ours,
        }


def _module(name: str) -> typing.Any:
    """A module of ``transfer`` that needs NumPy. Raises ``MissingPackage`` in an environment that has none."""
    try:
        with own_imports():
            return importlib.import_module(f"tfkernels.transfer.{name}")
    except ImportError as error:
        raise MissingPackage("numpy", "a request with values", str(error)) from error
