"""The machines of a Dask cluster, as the client of a batch sees them: workers by where they share environments."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tfprovisioner.batch.dask import worker
from tfprovisioner.batch.dask.capacity import Resources, fitting
from tfprovisioner.batch.dask.placement import Machine
from tfprovisioner.batch.kernel_ref import KernelRef
from tfprovisioner.errors import ProvisionError

if TYPE_CHECKING:
    from tfprovisioner.batch.dask.worker import Facts

_PACKAGE = "tfkernels"


@dataclass
class Site:
    """One machine and its workers."""

    facts: "Facts"
    threads: dict[str, int] = field(default_factory=dict)
    """How many tasks each worker takes at once, by the worker's address."""
    ready: set[str] = field(default_factory=set)
    """The kernels that need not be built there."""
    refused: set[str] = field(default_factory=set)
    """The kernels that it cannot have."""


class Machines:
    """What is known of a cluster's machines; ``look`` brings it up to date."""

    def __init__(self, client: Any, wanted: Mapping[str, KernelRef], need: int, say: Callable[[str], None]) -> None:
        self._client = client
        self._wanted = wanted
        self._need = need
        self._say = say
        self._useless: set[str] = set()
        self._sites: dict[str, Site] = {}
        self.complaint = ""
        """Why workers that are there cannot be used."""

    def look(self) -> None:
        """Learns of workers that came and went."""
        threads: dict[str, int] = self._client.nthreads()
        for site in self._sites.values():
            for address in site.threads.keys() - threads.keys():
                del site.threads[address]
        self._useless &= threads.keys()
        known = self._useless.union(*(site.threads for site in self._sites.values()))
        new = self._of_our_version(threads.keys() - known)
        if new:
            found = self._client.run(worker.facts, dict(self._wanted), workers=sorted(new), on_error="return")
            for address, facts in found.items():
                if isinstance(facts, Exception):  # it has ended since, or cannot do what is needed
                    self._refuse({address}, f"The worker {address} cannot be used: {facts!r}")
                else:
                    site = self._sites.setdefault(f"{facts.host}:{facts.home}", Site(facts, ready=set(facts.ready)))
                    site.threads[address] = threads[address]

    def described(self, scheduler: str | None) -> str:
        """How much can run at once, and where."""
        sites = [site for site in self._sites.values() if site.threads]
        if not sites:
            return f"no workers yet at {scheduler}"
        places = sum(map(self._places, sites))
        where = f"{len(sites)} machine{'s' * (len(sites) != 1)} of {scheduler}" if scheduler else "this machine"
        return f"{places} run{'s' * (places != 1)} at once on {where}"

    def has(self, address: str) -> bool:
        """Whether a worker is still there, as of the last look."""
        return any(address in site.threads for site in self._sites.values())

    def site(self, name: str) -> Site:
        return self._sites[name]

    def all(self, running: Mapping[str, int], building: Mapping[str, frozenset[str]]) -> list[Machine]:
        """The machines that have workers. ``running`` and ``building`` say what runs and is built where."""
        return [
            Machine(
                name,
                self._places(site),
                running.get(name, 0),
                frozenset(site.ready - site.refused),
                building.get(name, frozenset()) - site.ready,
                frozenset(site.refused),
            )
            for name, site in self._sites.items()
            if site.threads
        ]

    def _places(self, site: Site) -> int:
        """As many as its workers have threads: who started them decided that. Fewer if the memory is too small."""
        threads = sum(site.threads.values())
        return fitting(Resources(threads, site.facts.resources.memory), self._need, threads)

    def _of_our_version(self, addresses: set[str]) -> set[str]:
        if not addresses:
            return set()
        versions: Any = self._client.get_versions(packages=[_PACKAGE])
        ours = versions["client"]["packages"][_PACKAGE]
        theirs = {address: versions["workers"].get(address, {}).get("packages", {}) for address in addresses}
        wrong = {address for address in addresses if theirs[address].get(_PACKAGE) != ours}
        if wrong:
            found = sorted({str(theirs[address].get(_PACKAGE) or "none") for address in wrong})
            self._refuse(
                wrong,
                f"{len(wrong)} of {len(addresses)} workers cannot be used: they have tfkernels {', '.join(found)}, and "
                f"this is {ours}. Install the same there, and start them again: pip install tfkernels=={ours}",
            )
        return addresses - wrong

    def _refuse(self, addresses: set[str], why: str) -> None:
        self._useless |= addresses
        self.complaint = why
        self._say(why)

    def check(self) -> None:
        """Raises ``ProvisionError`` if there are workers, and none can be used."""
        if self._useless and not any(site.threads for site in self._sites.values()):
            raise ProvisionError(self.complaint)
