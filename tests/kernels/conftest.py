from tests.support.kernels import _ended, _history, installed, remote

__all__ = ["_ended", "_history", "installed", "remote"]
