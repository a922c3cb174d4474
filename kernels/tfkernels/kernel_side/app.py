"""The application of a kernel of tfkernels: ipykernel's, with the hooks installed."""

import os
import sys
import typing

import zmq
from ipykernel import kernelapp
from ipykernel.ipkernel import IPythonKernel
from traitlets import DottedObjectName

from tfkernels import env_vars, protocol, start_notes
from tfkernels.kernel_side import execute, parent_watch, stdout, values


class TensorFlowKernel(IPythonKernel):
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

    value_server: typing.Optional[values.Server] = None
    """For the process that started this one with a magic."""

    @property
    def kernel_info(self) -> typing.Dict[str, typing.Any]:
        served = self.value_server is not None and values.are_read(self)
        return {**super().kernel_info, **({protocol.VALUES_KEY: protocol.VALUES_FORMAT} if served else {})}

    def start(self) -> None:
        super().start()
        if parent_watch.FOLDER:
            self.value_server = values.Server(self, parent_watch.FOLDER)

    @execute.as_future
    async def dispatch_shell(self, *arguments: typing.Any, **options: typing.Any) -> None:
        if self.value_server is not None:
            self.value_server.pause()
        try:
            await execute.result(super().dispatch_shell(*arguments, **options))
        finally:
            if self.value_server is not None:
                self.value_server.resume()


class IPKernelApp(kernelapp.IPKernelApp):
    """Named as ipykernel's: libraries look for this name in the configuration to learn that a kernel runs them."""

    outstream_class = DottedObjectName("tfkernels.kernel_side.stdout.OutStream").tag(config=True)

    def init_poller(self) -> None:
        """Left out for our watch: ipykernel's would exit first, and leave children and the folder."""
        if not parent_watch.watching:
            super().init_poller()

    def init_sockets(self) -> None:
        if self.ip == "127.0.0.1" and not os.environ.get(start_notes.VERBOSE):
            self.log.addFilter(start_notes.is_warning)
        super().init_sockets()

    def init_kernel(self) -> None:
        super().init_kernel()
        execute.install_hooks(self.kernel)


def main() -> None:
    """Runs the kernel until it is shut down. Arguments are ipykernel's (``-f connection_file``)."""
    env_vars.activate()
    app = IPKernelApp.instance(kernel_class=TensorFlowKernel)
    app.initialize()
    app.log.setLevel(app.log_level)  # traitlets sets it for the handler only: each cell made records for nobody
    if parent_watch.FOLDER:
        stdout.log_errors(parent_watch.FOLDER)
    # After the user's own IPython configuration, which may set the list of extensions anew.
    if sys.version_info >= (3, 7):  # noqa: UP036 (on 3.6 it can be the other side of a magic, and has none)
        app.shell.extension_manager.load_extension("tfkernels")
    # Opened now, so that the end of a cell that uses up all file descriptors can be sent: ipykernel opens a socket for
    # the first output of each thread, pyzmq one for the first large message.
    app.iopub_thread.schedule(lambda: app.iopub_thread.schedule(lambda: None))
    app.session.copy_threshold = sys.maxsize
    app.start()


def is_damage(error: Exception) -> bool:
    """Whether a kernel ended with ``error`` because its packages are damaged, not for lack of ports or memory."""
    kernel = IPKernelApp.instance().kernel
    used = kernel is not None and kernel.execution_count > 1
    return not used and not isinstance(error, (OSError, MemoryError, zmq.ZMQError))
