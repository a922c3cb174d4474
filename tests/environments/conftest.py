from tests.support.bundles import make, small, standalone
from tests.support.environments import command, folder, index, install, light, place, server, small_lock
from tests.support.kernels import _ended, _history, installed, remote, soak

__all__ = ["_ended", "_history", "command", "folder", "index", "install", "installed", "light", "place", "remote"]
__all__ += ["make", "small", "standalone"]
__all__ += ["server", "small_lock", "soak"]
