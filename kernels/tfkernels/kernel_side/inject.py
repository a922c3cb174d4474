"""What a kernel does once that another kernel wants to use and that was not started by our launcher.

It runs there, by request (see ``tfkernels.client.bootstrap``), on Python 3.6 and newer, also without NumPy.
"""

import json
import os
import platform
import typing

PROTOCOL = 1
"""Raised when a kernel of another tfkernels would misread what is asked of it."""


def settle(order: str) -> str:
    """Takes values along from now on, and ends with its owner if it has one.

    ``order``, JSON: ``segment``, the address of memory of the kernel that asks; ``owned``, folder and process group,
    if that one started this kernel. The answer, JSON: ``pid``, ``python``, and ``unreachable``: why that memory cannot
    be opened from here, or nothing. Or only ``problem``: why nothing can be done.
    """
    wanted = json.loads(order)
    problem = _put_on()
    if problem:
        return json.dumps({"problem": problem})
    if wanted.get("owned") is not None:
        from tfkernels.kernel_side import parent_watch, rawoutput

        parent_watch.watch_folder(wanted["owned"]["folder"], wanted["owned"]["group"])
        parent_watch.log_errors(wanted["owned"]["folder"])
        rawoutput.show_once()
    why = _unreachable(wanted["segment"])
    return json.dumps({"pid": os.getpid(), "python": platform.python_version(), "unreachable": why})


def _put_on() -> str:
    """Why it cannot be done, or nothing."""
    import ipykernel
    from ipykernel.ipkernel import IPythonKernel
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    if not isinstance(kernel, IPythonKernel):
        return "it is no ipykernel"
    if ipykernel.version_info[0] < 5:
        return f"its ipykernel is {ipykernel.__version__}, and 5 is the oldest that works"
    from tfkernels.kernel_side import execute

    execute.put_on(kernel, guest=True)
    return ""


def _unreachable(address: typing.Dict[str, typing.Any]) -> str:
    try:
        descriptor = os.open(address["path"], os.O_RDWR)
    except OSError as error:
        return f"on {platform.node()}, process {os.getpid()}: {error.strerror}"
    found = os.fstat(descriptor)
    os.close(descriptor)
    if (found.st_dev, found.st_ino) != (address["device"], address["inode"]):
        return f"on {platform.node()}, process {os.getpid()}: another file has that name there"
    return ""
