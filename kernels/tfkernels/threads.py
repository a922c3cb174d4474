"""Threads of this package. While the debugger holds the user's code at a breakpoint, they run on."""

import threading
import typing


def daemon(name: str, target: typing.Callable[..., None], *arguments: typing.Any) -> threading.Thread:
    """A thread that does not keep this process alive. It is not started yet."""
    thread = threading.Thread(target=target, args=arguments, name="tfkernels-" + name, daemon=True)
    vars(thread)["pydev_do_not_trace"] = True  # debugpy asks for it; ipykernel's own threads have it, too
    return thread
