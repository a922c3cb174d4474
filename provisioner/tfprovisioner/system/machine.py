"""The name of this machine's platform. Standard library only: the program of a bundle has a copy."""

import platform
import sys


def platform_name() -> str:
    """This machine, as ``Release.platforms`` names it: ``linux-x86_64``."""
    system = {"darwin": "macos", "win32": "windows"}.get(sys.platform, sys.platform)
    machine = platform.machine().lower()
    return f"{system}-{ {'amd64': 'x86_64'}.get(machine, machine) }"
