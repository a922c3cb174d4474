"""Fix for ipykernel 7.0 to 7.3, which can lose sight of a request that comes while it sends a reply.

A stream reads the requests, and replies go past it through the same socket. Sending takes the socket's only notice that
a request has come: the kernel is idle then, and the request lies there. Replies through the stream make it look again,
as in ipykernel 7.4. https://github.com/ipython/ipykernel/issues/1554
"""

import typing


def prevent(kernel: typing.Any) -> None:
    """Makes a kernel send its replies through the stream that reads its requests. Others have no such attribute."""
    thread: typing.Any = getattr(kernel, "shell_channel_thread", None)
    owners: typing.Tuple[typing.Any, ...] = (thread, getattr(thread, "_manager", None))
    for owner in owners:  # the manager is made at the start, from the thread's
        if hasattr(owner, "_shell_socket"):
            owner._shell_socket = kernel.shell_stream  # noqa: SLF001 (no public name)
