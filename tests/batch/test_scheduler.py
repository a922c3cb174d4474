"""A batch on a cluster that runs elsewhere: a scheduler and two workers that have this package and nothing else."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dask
import psutil
import pytest
from distributed.security import Security

from tests.support import clusters
from tests.support.batches import engine, lasting, notes, pid, printed, started_client, task, wait_for
from tests.support.processes import alive
from tests.support.waiting import DEADLINE, eventually
from tfprovisioner.batch.dask import cluster
from tfprovisioner.batch.dask.placement import Options
from tfprovisioner.batch.kernel_ref import wanted
from tfprovisioner.batch.outcomes import Progress
from tfprovisioner.batch.workdir import pack, unpack
from tfprovisioner.errors import ProvisionError
from tfprovisioner.kernelspecs import install
from tfprovisioner.requirements.request import InstallRequest

_LIGHT = """
import os
from tfprovisioner.resolution import resolve as resolution

def dask_setup(worker):
    with open(os.environ["LIGHT"]) as file:
        text = file.read()
    resolution.lock = lambda *arguments: text
"""
"""What the fixture ``light`` does, in a worker."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the workers have what is theirs."""
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="module")
def scheduler(shared: Path) -> Iterator[str]:
    with clusters.scheduler(shared) as address:
        yield address


@pytest.fixture(scope="module")
def cluster_of_two(shared: Path, scheduler: str) -> Iterator[Options]:
    (shared / "light.py").write_text(_LIGHT)
    (shared / "light.txt").touch()
    options = ("--preload", str(shared / "light.py"))
    variables = {"LIGHT": str(shared / "light.txt")}
    with clusters.worker(shared, "a", *options, **variables), clusters.worker(shared, "b", *options, **variables):
        yield Options(scheduler=scheduler)


_USING = """
import os, sys
print(open('data.txt').read(), sys.prefix, os.environ.get('OMP_NUM_THREADS'))
with open('new', 'w') as file:
    print('made', file=file)
"""


def test_environments_are_built_there_on_first_use(
    light: str, place: Path, shared: Path, cluster_of_two: Options
) -> None:
    (shared / "light.txt").write_text(light)
    install.install(InstallRequest("tf1", name="mine", user=True))
    (place / "data.txt").write_text("42")
    inputs = pack({place / "data.txt": "data.txt"})
    tasks = [task(f"run{number}", _USING, kernel="mine", inputs=inputs) for number in range(2)]
    told: list[Progress] = []
    with engine(2, told, cluster_of_two, [wanted("mine")]) as started:
        executed = list(started.run(tasks))
    assert [each.outcome.state for each in executed] == ["passed"] * 2, executed[0].outcome.failure
    built = [record.parent for record in shared.glob("*/environments/*/environment.json")]
    assert len({folder.parents[1] for folder in built}) == len(built)  # once per machine
    assert {printed(each) for each in executed} <= {f"42 {folder} None\n" for folder in built}
    assert {each.outcome.tensorflow for each in executed} == {"1.15.5"}
    assert any(each.state == "preparing" and "installing TensorFlow" in each.text for each in told)
    assert not list(shared.glob("*-jupyter"))
    assert executed[0].files is not None
    unpack(executed[0].files, place / "files")
    assert (place / "files" / "new").read_text() == "made\n"


@pytest.mark.slow  # what the batch does then is the same in its own cluster: see test_embedded_cluster
def test_a_worker_killed_in_the_middle(cluster_of_two: Options, tmp_path: Path) -> None:
    def kill_one() -> int:
        kernels = [psutil.Process(pid(tmp_path / f"{name}.1")) for name in ("one", "other")]
        worker = kernels[0].parent()
        assert worker is not None
        worker.kill()
        eventually(lambda: not alive(kernels[0].pid))
        return kernels[1].pid

    tasks = [task("one", lasting(tmp_path, "one", 1)), task("other", wait_for(tmp_path / "one.2", tmp_path, "other"))]
    told: list[Progress] = []
    with engine(2, told, cluster_of_two) as started, ThreadPoolExecutor(1) as thread:
        killed = thread.submit(kill_one)
        executed = {each.outcome.run.name: each.outcome for each in started.run(tasks)}
        eventually(lambda: not alive(killed.result()))
    assert {name: (outcome.state, outcome.attempts) for name, outcome in executed.items()} == {
        "one": ("passed", 2), "other": ("passed", 1),
    }  # fmt: skip
    assert re.search(r"one: its worker on \S+ died; it starts again \(2 of 3\)", notes(told))


def test_workers_survive_a_killed_client_kernels_do_not(cluster_of_two: Options, tmp_path: Path) -> None:
    with started_client(tmp_path, str(cluster_of_two.scheduler)) as client:
        kernels = [psutil.Process(pid(tmp_path / name)) for name in ("one.1", "other.1")]
        workers = [kernel.parent() for kernel in kernels]
        client.kill()
        client.communicate(timeout=DEADLINE)
        eventually(lambda: not any(alive(kernel.pid) for kernel in kernels))
        assert all(worker is not None and worker.is_running() for worker in workers)


def test_a_kernel_that_no_worker_has(cluster_of_two: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "kernels" / "own"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(
        json.dumps({"argv": [sys.executable, "-m", "x"], "display_name": "Own", "language": "python"})
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    with engine(3, [], cluster_of_two, [wanted("own")]) as started:
        executed = list(started.run([task(f"run{number}", "1", kernel="own") for number in range(3)]))
    assert {each.outcome.failure.kind for each in executed if each.outcome.failure} == {"KernelMissing"}
    assert len(executed) == 3


def test_workers_of_another_version_are_not_used(tmp_path: Path) -> None:
    other = tmp_path / "path" / "tfkernels-9.9.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: tfkernels\nVersion: 9.9\n")
    with (
        clusters.scheduler(tmp_path) as address,
        clusters.worker(tmp_path, "old", "--no-nanny", PYTHONPATH=str(other.parent)),
        pytest.raises(ProvisionError, match=r"they have tfkernels 9\.9, .*: pip install tfkernels=="),
        engine(1, [], Options(scheduler=address)) as started,
    ):
        list(started.run([task("run", "1")]))


def test_where_no_scheduler_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_TIMEOUT", 1.0)
    with (
        pytest.raises(ProvisionError, match=r"Cannot reach a Dask scheduler at tcp://127\.0\.0\.1:1"),
        engine(1, [], Options(scheduler="tcp://127.0.0.1:1")),
    ):
        pass


@pytest.mark.parametrize(
    ("address", "required", "cause"),
    [("tls://127.0.0.1:1", False, "names no certificate for clients"), ("127.0.0.1:1", True, "requires encryption")],
)
def test_encryption_is_checked_before_connecting(address: str, required: bool, cause: str) -> None:
    with (
        dask.config.set({"distributed.comm.require-encryption": required}),
        pytest.raises(
            ProvisionError, match=f"Cannot reach a Dask scheduler at {address}: Dask's configuration {cause}"
        ),
        engine(1, [], Options(scheduler=address)),
    ):
        pass


def test_certificates_threads_and_the_end_of_a_scheduler(tmp_path: Path) -> None:
    """One cluster with encryption and a worker of two threads; in the end its scheduler is killed."""

    def kill_the_scheduler(process: subprocess.Popen[bytes]) -> int:
        kernel = pid(tmp_path / "lasting.1")
        process.kill()
        return kernel

    made = Security.temporary()
    settings = {"distributed.comm.tls.ca-file": str(tmp_path / "cert")}
    for name, content in {"cert": made.tls_client_cert, "key": made.tls_client_key}.items():
        (tmp_path / name).write_text(content)
        for role in ("scheduler", "worker", "client"):
            settings[f"distributed.comm.tls.{role}.{name}"] = str(tmp_path / name)
    variables = {f"DASK_{name.replace('.', '__').replace('-', '_').upper()}": settings[name] for name in settings}
    with (
        clusters.scheduler_process(tmp_path, "--protocol", "tls", **variables) as (process, address),
        clusters.worker(tmp_path, "only", "--no-nanny", "--protocol", "tls", "--nthreads", "2", **variables),
        dask.config.set(settings),
        engine(2, [], Options(scheduler=address)) as started,
        ThreadPoolExecutor(1) as thread,
    ):
        assert address.startswith("tls://")
        # Each ends when the other one is there.
        cells = {"one": wait_for(tmp_path / "other.1", tmp_path, "one")}
        cells["other"] = wait_for(tmp_path / "one.1", tmp_path, "other")
        executed = list(started.run([task(name, cell, "print(6 * 7)") for name, cell in cells.items()]))
        assert [printed(each) for each in executed] == ["42\n"] * 2

        killed = thread.submit(kill_the_scheduler, process)
        with pytest.raises(ProvisionError, match=r"connection to the scheduler was lost.*--resume"):
            list(started.run([task("lasting", lasting(tmp_path, "lasting"))]))
        eventually(lambda: not alive(killed.result()))
