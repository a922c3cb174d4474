"""What the debugger of a notebook leaves alone: threads of this package, and the processes that it starts."""

import sys
import threading
import typing
from contextlib import ExitStack, contextmanager


def untraced_thread(name: str, target: typing.Callable[..., None], *arguments: typing.Any) -> threading.Thread:
    """A thread that runs on at a breakpoint, and does not keep this process alive. It is not started yet."""
    thread = threading.Thread(target=target, args=arguments, name="tfkernels-" + name, daemon=True)
    vars(thread)["pydev_do_not_trace"] = True  # debugpy asks for it; ipykernel's own threads have it, too
    return thread


@contextmanager
def kept_out() -> typing.Iterator[None]:
    """Debugpy adds itself to the command of every Python. Its code here fits no other Python, which fails or hangs."""
    skip = getattr(sys.modules.get("pydevd"), "skip_subprocess_arg_patch", None)
    with ExitStack() as stack:
        if skip is not None:
            stack.enter_context(skip())
        yield
