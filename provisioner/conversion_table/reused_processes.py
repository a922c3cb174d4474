"""Processes that take the steps of many conversions, one after the other: a start of TensorFlow costs seconds."""

from collections.abc import Callable, Hashable
from typing import Any

from tfprovisioner.conversion.kernels import Wanted
from tfprovisioner.conversion.process import Processes, ReleaseProcess, T, Tell


class ReusedProcesses(Processes):
    """One process for each release and role. A process that died is started again."""

    keeps_loaded = True

    def __init__(self) -> None:
        super().__init__()
        self._by_role: dict[tuple[str, str], ReleaseProcess] = {}
        self._kept: dict[Hashable, Any] = {}

    def begin(self, wanted: Wanted, role: str, tell: Tell) -> ReleaseProcess:
        key = (wanted.release, role)
        known = self._by_role.get(key)
        if known is None or known.kernel.state not in ("idle", "busy", "starting"):
            if known is not None:
                super().end(known)
            known = self._by_role[key] = super().begin(wanted, role, tell)
        known.seconds = 0.0
        return known

    def end(self, process: ReleaseProcess) -> None:
        """The next conversion uses it."""

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """For the same file; another one replaces it."""
        if key not in self._kept:
            self._kept.clear()
            try:
                self._kept[key] = make(), None
            except Exception as error:  # noqa: BLE001 (raised below, for each target)
                self._kept[key] = None, error
        result, problem = self._kept[key]
        if problem is not None:
            raise problem
        made: T = result
        return made

    def end_all(self) -> None:
        for process in self._by_role.values():
            process.end()
        self._by_role.clear()
