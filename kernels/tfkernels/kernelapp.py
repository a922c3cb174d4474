"""The kernel of a TensorFlow environment: ipykernel's, plus values that come and go with an execute request.

A request may carry ``metadata["tfkernels"]``::

    {"inputs": descriptor or None, "outputs": {name: expression}, "segment": address or None, "instead": [address, …]}

Inputs are bound before the cell runs. Outputs are evaluated after it, in the same request, and written to the
requesting side's segment, or, if they are large, to one "instead" that inputs came in and that nothing looks into any
more; the reply carries their descriptor in ``content["tfkernels"]``.
"""

import asyncio
import functools
import inspect
import os
import sys
import traceback
import typing

import ipykernel
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp

from tfkernels import environ, owner, rawoutput
from tfkernels.errors import ExchangeError, TFKernelsError
from tfkernels.parcel import Descriptor, Parcel, unpack
from tfkernels.segments import MAP_FROM, Address, has_room, open_segment
from tfkernels.stopping import StopButton

Reply = typing.Dict[str, typing.Any]


def _awaited(method: typing.Any) -> typing.Any:
    """ipykernel 5, the last for Python 3.6, waits for futures and takes a coroutine for the reply itself."""
    if ipykernel.version_info[0] >= 6:
        return method
    return functools.wraps(method)(lambda *args, **options: asyncio.ensure_future(method(*args, **options)))


class Kernel(IPythonKernel):
    """ipykernel 5 to 7, IPython 7 to 9."""

    # Goes into the notebook's metadata: papermill leaves the name of the kernel that was asked for in the file, not of
    # the one that ran. https://github.com/nteract/papermill/issues/856
    language_info: typing.ClassVar[typing.Dict[str, typing.Any]] = dict(
        IPythonKernel.language_info,
        tfkernels={
            "kernel": os.environ.get("TFKERNELS_KERNEL", ""),
            "tensorflow": os.environ.get("TFKERNELS_KERNEL_TENSORFLOW", ""),
        },
    )

    def __init__(self, **options: typing.Any) -> None:
        super().__init__(**options)
        self._stop_button = StopButton(self.shell)

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
        with self._stop_button.waiting():
            reply = await self._do_execute(code, silent, store_history, user_expressions, allow_stdin, **options)
            rawoutput.settle()
            return reply

    async def _do_execute(
        self,
        code: str,
        silent: bool,
        store_history: bool,
        user_expressions: typing.Optional[typing.Dict[str, str]],
        allow_stdin: bool,
        **options: typing.Any,
    ) -> Reply:
        try:
            exchange = (self.shell.get_parent().get("metadata") or {}).get("tfkernels")
            if exchange and exchange["inputs"]:
                self.shell.user_ns.update(unpack(exchange["inputs"]))
            reply = super().do_execute(code, silent, store_history, user_expressions, allow_stdin, **options)
            if inspect.isawaitable(reply):
                reply = await reply
            if exchange and exchange["outputs"] and reply["status"] == "ok":
                self._forward_input(allow_stdin)  # `%tf1 input()` asks in the notebook, as in the cell itself
                try:
                    with self._stop_button.reaching():
                        outputs, segment, instead = exchange["outputs"], exchange["segment"], exchange["instead"]
                        reply["tfkernels"] = self._collect(outputs, segment, instead)
                finally:
                    self._restore_input()
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 (everything needs an answer)
            # ipykernel would send no reply at all, and whoever waits for one would wait for ever: it happens when
            # IPython 7.34's traceback formatter itself raises on an error inside TensorFlow.
            return self._failed(error)
        return typing.cast(Reply, reply)

    def _collect(
        self, outputs: typing.Dict[str, str], segment: Address, instead: typing.Sequence[Address]
    ) -> Descriptor:
        parcel = Parcel({name: self._evaluate(expression) for name, expression in outputs.items()})
        large = parcel.size >= MAP_FROM
        address = next((each for each in instead if large and has_room(each, parcel.size)), segment)
        descriptor = open_segment(address)
        try:
            return parcel.write(descriptor, address)
        finally:
            os.close(descriptor)

    def _evaluate(self, expression: str) -> typing.Any:
        if expression.isidentifier() and expression not in self.shell.user_ns:
            try:
                return self.shell.ev(expression)  # a builtin, or a constant such as None
            except NameError:
                kernel = os.environ.get("TFKERNELS_KERNEL", "")
                raise ExchangeError(
                    f"there is no {expression!r} in kernel {kernel} after the cell ran, so nothing was bound here; "
                    f"assign {expression} there, or write the name that the cell does set"
                ) from None
        return self.shell.ev(expression)

    def _failed(self, error: BaseException) -> Reply:
        ours = isinstance(error, TFKernelsError)
        return {
            "status": "error",
            "ename": type(error).__name__,
            "evalue": str(error),
            "traceback": [str(error)] if ours else self._traceback(error),
            "execution_count": self.shell.execution_count,
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
            lines: typing.List[str] = self.shell.InteractiveTB.structured_traceback(type(error), error, frames)
        except Exception:  # noqa: BLE001 (see above)
            return traceback.format_exception(type(error), error, error.__traceback__)
        return lines


_OUR_FRAMES = ("tfkernels.", "ipykernel.", "IPython.")


class KernelApp(IPKernelApp):
    def init_poller(self) -> None:
        """Ours instead: ipykernel's would exit first, and leave children and folder behind."""
        if not owner.watching:
            super().init_poller()


def _need_no_files_later(app: IPKernelApp) -> None:
    """So that a cell that uses up the files that a process may have is answered all the same.

    ipykernel opens a socket for each thread's first output, the output thread's own too, and pyzmq one for the first
    large message. Neither would come through, nor what waits behind it: that the cell has ended.
    """
    app.iopub_thread.schedule(lambda: app.iopub_thread.schedule(lambda: None))
    app.session.copy_threshold = sys.maxsize


def main() -> None:
    """Runs the kernel until it is shut down. Arguments are ipykernel's (``-f connection_file``)."""
    environ.activate()
    app = KernelApp.instance(kernel_class=Kernel)
    stderr = os.dup(2)
    app.initialize()
    if owner.FOLDER:
        # ipykernel reads file descriptor 2 through a pipe that dies with this process, and with it what a crash said
        # last. Our owner reads the file that the descriptor was before.
        os.dup2(stderr, 2)
    os.close(stderr)
    # After the user's own IPython configuration, which may set the list of extensions anew.
    if sys.version_info >= (3, 7):  # noqa: UP036 (on 3.6 it can be the other side of a magic, and has none)
        app.shell.extension_manager.load_extension("tfkernels")
    _need_no_files_later(app)
    app.start()
