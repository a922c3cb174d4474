"""Which machine executes what next: never too much, never nothing, and no environment is built for the joy of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st

from tfprovisioner.batch.dask.placement import Cost, Machine, choose, places

KERNELS = ("tf1", "tf2", "tf2.11")


@dataclass
class Simulation:
    """A batch on pretended machines; every build and every run takes the seconds that it is said to."""

    machines: list[Machine]
    waiting: dict[str, int]
    costs: dict[str, Cost]
    now: float = 0.0
    running: list[tuple[float, str, str, bool]] = field(default_factory=list)
    """When something ends, where, of which kernel, and whether it is a build."""
    builds: list[tuple[str, str]] = field(default_factory=list)

    def change(self, name: str, **values: object) -> None:
        self.machines = [replace(m, **values) if m.name == name else m for m in self.machines]  # type: ignore[arg-type]

    def machine(self, name: str) -> Machine:
        return next(machine for machine in self.machines if machine.name == name)

    def start(self) -> None:
        while (chosen := choose(self.machines, self.waiting, self.costs)) is not None:
            kernel, machine = chosen
            assert machine.running < machine.places
            assert kernel not in machine.refused | machine.building
            assert self.waiting[kernel] > 0
            self.waiting[kernel] -= 1
            build = kernel not in machine.ready
            if build:
                self.builds.append((machine.name, kernel))
            self.change(
                machine.name,
                running=machine.running + 1,
                building=machine.building | {kernel} if build else machine.building,
            )
            self.running.append((self.now + self.seconds(kernel, build), machine.name, kernel, build))

    def seconds(self, kernel: str, build: bool) -> float:
        return self.costs[kernel].build if build else self.costs[kernel].run

    def finish_next(self) -> None:
        self.running.sort()
        self.now, name, kernel, build = self.running.pop(0)
        machine = self.machine(name)
        if build:  # the run that had it built goes on
            self.change(name, ready=machine.ready | {kernel}, building=machine.building - {kernel})
            self.running.append((self.now + self.seconds(kernel, False), name, kernel, False))
        else:
            self.change(name, running=machine.running - 1)

    def run(self) -> None:
        self.start()
        while self.running:
            self.finish_next()
            self.start()


@st.composite
def batches(draw: st.DrawFn) -> Simulation:
    subsets = st.sets(st.sampled_from(KERNELS))
    machines = [
        Machine(f"m{number}", draw(st.integers(1, 4)), ready=draw(subsets)) for number in range(draw(st.integers(1, 4)))
    ]
    waiting = {kernel: draw(st.integers(0, 8)) for kernel in KERNELS}
    costs = {kernel: Cost(draw(st.floats(0.1, 300)), draw(st.floats(0.1, 300))) for kernel in KERNELS}
    return Simulation(machines, waiting, costs)


@given(batches())
def test_everything_is_executed_and_nothing_is_built_twice(batch: Simulation) -> None:
    ready = {(machine.name, kernel) for machine in batch.machines for kernel in machine.ready}
    batch.run()
    assert not any(batch.waiting.values())
    assert len(set(batch.builds)) == len(batch.builds)
    assert not ready & set(batch.builds)


@given(batches())
def test_unavailable_kernels_do_not_block_others(batch: Simulation) -> None:
    batch.machines = [replace(machine, refused={"tf1"}) for machine in batch.machines]
    stays = batch.waiting["tf1"]
    batch.machines = [replace(machine, ready=machine.ready - {"tf1"}) for machine in batch.machines]
    batch.run()
    assert batch.waiting == {"tf1": stays, "tf2": 0, "tf2.11": 0}


def test_runs_stay_with_their_environment_while_cheaper() -> None:
    machines = [Machine("a", 1, ready={"tf1"}, running=1), Machine("b", 1)]
    cheap = {"tf1": Cost(build=60, run=5)}
    assert choose(machines, {"tf1": 3}, cheap) is None
    chosen = choose(machines, {"tf1": 30}, cheap)
    assert chosen is not None
    assert chosen[1].name == "b"


def test_two_machines_share_new_kernels() -> None:
    batch = Simulation([Machine("a", 2), Machine("b", 2)], {"tf1": 4, "tf2": 4}, dict.fromkeys(KERNELS, Cost()))
    batch.run()
    assert sorted(batch.builds) == [("a", "tf1"), ("b", "tf2")]


def test_capacity_is_at_least_one_run() -> None:
    assert places(8, 64 * 10**9, 2 * 10**9) == 8
    assert places(8, 5 * 10**9, 2 * 10**9) == 2
    assert places(8, 10**9, 2 * 10**9) == 1
