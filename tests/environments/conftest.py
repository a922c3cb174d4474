from tests.support.environments import folder, index, install, light, place, server, small_lock
from tests.support.kernels import _ended, _history, installed, remote, soak

__all__ = ["_ended", "_history", "folder", "index", "install", "installed", "light", "place", "remote", "server"]
__all__ += ["small_lock", "soak"]
