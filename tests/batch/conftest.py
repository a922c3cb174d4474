from tests.support.environments import (
    command,
    folder,
    index,
    install,
    light,
    light_commands,
    light_lock,
    place,
    server,
    small_lock,
)
from tests.support.kernels import _ended, _history, installed, remote, soak

__all__ = ["_ended", "_history", "command", "folder", "index", "install", "installed", "light", "light_commands"]
__all__ += ["light_lock", "place", "remote", "server", "small_lock", "soak"]
