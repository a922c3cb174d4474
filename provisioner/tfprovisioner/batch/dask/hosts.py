"""The machines of a Dask cluster. Workers with one host name and one data folder share environments: one machine."""

from collections.abc import Callable, Collection, Mapping
from importlib import metadata
from typing import Any

from tfprovisioner.batch.dask import worker
from tfprovisioner.batch.dask.placement import Machine, places
from tfprovisioner.batch.kernel_ref import KernelRef
from tfprovisioner.errors import ProvisionError


class Hosts:
    """The machines that have workers; ``update`` notices which workers came and went."""

    def __init__(self, client: Any, wanted: Mapping[str, KernelRef], need: int, say: Callable[[str], None]) -> None:
        """``need`` is the memory of a run in bytes."""
        self._client = client
        self.wanted = wanted
        self._need = need
        self._say = say
        self._unusable: dict[str, str] = {}
        """Workers, and why they cannot be used."""
        self._machines: dict[str, Machine] = {}

    @property
    def machines(self) -> list[Machine]:
        return [machine for machine in self._machines.values() if machine.workers]

    def has(self, address: str) -> bool:
        """Whether a worker was there at the last update."""
        return any(address in machine.workers for machine in self.machines)

    def update(self) -> None:
        """Raises ``ProvisionError`` if there are workers, and none can be used."""
        threads: dict[str, int] = self._client.nthreads()
        for machine in self.machines:
            for address in machine.workers.keys() - threads.keys():
                del machine.workers[address]
        self._unusable = {address: why for address, why in self._unusable.items() if address in threads}
        known = self._unusable.keys() | {address for machine in self.machines for address in machine.workers}
        usable = self._of_our_version(threads.keys() - known)
        for address, found in self._run(usable, worker.machine, dict(self.wanted)).items():
            if isinstance(found, Exception):  # it has ended since, or lacks a package
                self._refuse([address], f"The worker {address} cannot be used: {found!r}")
            else:
                self._machines.setdefault(found.name, found).workers[address] = threads[address]
        for machine in self.machines:  # as many as threads: the user chose that number; fewer if the memory is small
            machine.places = places(sum(machine.workers.values()), machine.memory, self._need)
        if self._unusable and not self.machines:
            raise ProvisionError([*self._unusable.values()][-1])

    def described(self, scheduler: str | None) -> str:
        """How many runs go at once, and where."""
        count = len(self.machines)
        if not count:
            return f"no workers yet at {scheduler}"
        runs = sum(machine.places for machine in self.machines)
        where = f"{count} machine{'s' * (count != 1)} of {scheduler}" if scheduler else "this machine"
        return f"{runs} run{'s' * (runs != 1)} at once on {where}"

    def _of_our_version(self, addresses: Collection[str]) -> Collection[str]:
        ours = metadata.version("tfkernels")
        versions = self._run(addresses, metadata.version, "tfkernels")  # standard library: a worker has it anyway
        wrong = {
            address: "none" if isinstance(version, Exception) else version
            for address, version in versions.items()
            if version != ours
        }
        if wrong:
            self._refuse(
                wrong,
                f"{len(wrong)} of {len(addresses)} workers cannot be used: they have tfkernels "
                f"{', '.join(sorted(set(wrong.values())))}, and this is {ours}. Install the same version there, and "
                f"restart them: pip install tfkernels=={ours}",
            )
        return versions.keys() - wrong.keys()

    def _run(self, addresses: Collection[str], function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        if not addresses:
            return {}
        return dict(self._client.run(function, *arguments, workers=sorted(addresses), on_error="return"))

    def _refuse(self, addresses: Collection[str], why: str) -> None:
        self._unusable.update(dict.fromkeys(addresses, why))
        self._say(why)
