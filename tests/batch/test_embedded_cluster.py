"""A batch on this machine: its own small Dask cluster, which nobody else can use and of which nothing is left."""

from __future__ import annotations

import http.client
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tests.support.batches import KERNEL, engine, lasting, notes, pid, printed, started_client, task
from tests.support.commands import command
from tests.support.processes import alive, ended
from tests.support.user_files import imported, spoil
from tests.support.waiting import DEADLINE, eventually
from tfprovisioner.batch.dask.placement import Options
from tfprovisioner.batch.outcomes import Progress
from tfprovisioner.batch.workdir import pack


@pytest.fixture(autouse=True)
def _of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFKERNELS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def test_each_run_has_its_own_process(tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_text("42")
    inputs = pack({tmp_path / "data.txt": "data.txt"})
    cell = "import os\nprint(open('data.txt').read(), os.getppid(), os.environ.get('OMP_NUM_THREADS'))"
    tasks = [task(f"run{number}", cell, inputs=inputs) for number in range(3)]
    told: list[Progress] = []
    with engine(3, told, Options(workers=2)) as started:
        assert notes(told) == ": 2 runs at once on this machine"
        executed = list(started.run([*tasks, task("wrong", "1/0")]))
    outcomes = {each.outcome.run.name: each.outcome for each in executed}
    assert {name: outcome.state for name, outcome in outcomes.items()} == {
        "run0": "passed", "run1": "passed", "run2": "passed", "wrong": "failed",
    }  # fmt: skip
    assert outcomes["wrong"].failure is not None
    assert outcomes["wrong"].failure.kind == "ZeroDivisionError"
    said = [printed(each).split() for each in executed if each.outcome.passed]
    assert [(data, threads) for data, _, threads in said] == [("42", "None")] * 3
    workers = {int(worker) for _, worker, _ in said}
    assert os.getpid() not in workers
    assert not any(map(alive, workers))
    assert {progress.run for progress in told if progress.state == "running"} >= outcomes.keys() - {"wrong"}
    # The process that workers are forked from stays as long as this one, with its socket.
    assert [name for name in os.listdir(tmp_path) if not name.startswith("pymp-")] == ["data.txt"]


def test_nobody_without_its_key_can_use_it(tmp_path: Path) -> None:
    from distributed import Client
    from distributed.security import Security

    with engine(1, [], Options()) as started:
        scheduler = started._client.scheduler.address
        assert scheduler.startswith("tls://127.0.0.1:")
        with pytest.raises(OSError, match=r"reset|Timed out|TLS"):
            Client(scheduler.replace("tls", "tcp"), timeout=2, security=Security())
        with pytest.raises(OSError, match=r"reset|Timed out|TLS|certificate"):
            Client(scheduler, timeout=2, security=Security.temporary())
        assert not _answering("/info/main/workers.html"), "Dask's pages have no login"


def test_dashboard_is_started_on_request() -> None:
    told: list[Progress] = []
    with engine(1, told, Options(dashboard=True)):
        assert "1 run at once on this machine; Dask's page: http://127.0.0.1:" in notes(told)
        eventually(lambda: _answering("/info/main/workers.html"))  # the first page takes longest


def _answering(path: str) -> list[int]:
    """The ports of this process and its children where HTTP gives a page."""
    family = {os.getpid(), *(child.pid for child in psutil.Process().children(recursive=True))}
    listening = {
        int(getattr(each.laddr, "port", 0))
        for each in psutil.net_connections("tcp4")
        if each.status == psutil.CONN_LISTEN and each.pid in family
    }
    found = []
    for port in listening:
        with (
            suppress(OSError, http.client.HTTPException),
            urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5),
        ):
            found.append(port)
    return found


def test_files_in_the_current_folder_are_not_imported(tmp_path: Path) -> None:
    for module in ("batch.execution", "batch.dask.worker"):  # as the batch's processes do
        importlib.import_module(f"tfprovisioner.{module}")
    log = spoil(tmp_path, sys.modules)
    (tmp_path / "nb").mkdir()
    nbformat.write(new_notebook(cells=[new_code_cell("1")]), tmp_path / "nb" / "nb.ipynb")
    program = Path(sys.executable).with_name("tfkernels")  # `python -m` has the current folder on its path itself
    done = subprocess.run(
        [program, "run", "nb/nb.ipynb", "-k", KERNEL, "-o", "out"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not imported(log)


def _kill_the_worker(file: Path) -> int:
    """Kills the process that executes the kernel which writes ``file``; returns the kernel's number."""
    kernel = psutil.Process(pid(file))
    worker = kernel.parent()
    assert worker is not None
    assert worker.pid != os.getpid()
    worker.kill()
    return kernel.pid


def test_a_run_is_repeated_when_its_worker_dies(tmp_path: Path) -> None:
    told: list[Progress] = []
    tasks = [task("lasting", lasting(tmp_path, "lasting", 1)), task("other", "print(1)")]
    with engine(2, told, Options(workers=2)) as started, ThreadPoolExecutor(1) as thread:
        killed = thread.submit(_kill_the_worker, tmp_path / "lasting.1")
        executed = {each.outcome.run.name: each for each in started.run(tasks)}
        eventually(lambda: not alive(killed.result()))
    assert {name: (each.outcome.state, each.outcome.attempts) for name, each in executed.items()} == {
        "lasting": ("passed", 2), "other": ("passed", 1),
    }  # fmt: skip
    assert re.search(r"lasting: its worker on \S+ died; it starts again \(2 of 3\)", notes(told))
    assert json.loads(executed["lasting"].notebook)["metadata"]["tfkernels"]["outcome"]["attempts"] == 2


def test_a_run_that_kills_workers_fails(tmp_path: Path) -> None:
    tasks = [task("deadly", lasting(tmp_path, "deadly"))]
    with engine(1, [], Options(retries=1)) as started, ThreadPoolExecutor(1) as thread:
        killed = thread.map(_kill_the_worker, [tmp_path / "deadly.1", tmp_path / "deadly.2"])
        (executed,) = started.run(tasks)
        eventually(lambda: not any(map(alive, killed)))
    assert executed.outcome.failure is not None
    assert executed.outcome.failure.kind == "WorkerDied"
    assert "died 2 times" in executed.outcome.failure.message
    assert executed.outcome.attempts == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_whatever_ends_the_client_ends_workers_and_kernels(tmp_path: Path, number: signal.Signals) -> None:
    with started_client(tmp_path) as client:
        kernels = [pid(tmp_path / "one.1"), pid(tmp_path / "other.1")]
        everything = [*psutil.Process(client.pid).children(recursive=True), *map(psutil.Process, kernels)]
        if number == signal.SIGINT:
            os.killpg(client.pid, number)  # as a terminal does: the workers get it, too
        else:
            client.kill()
        _, said = client.communicate(timeout=DEADLINE)
        assert said.rstrip().endswith("KeyboardInterrupt" if number == signal.SIGINT else "")
        eventually(lambda: not any(alive(each.pid) for each in everything))
    if number == signal.SIGINT:
        assert sorted(os.listdir(tmp_path)) == ["client.py", "one.1", "other.1"]


_COUNTED = """
import os, time
open(f"{n}.{os.getpid()}", "w").close()
while n == 2 and not os.path.exists("go"):
    time.sleep(0.1)
"""


def test_after_sigkill_only_the_rest_is_run(tmp_path: Path) -> None:
    notebook = new_notebook(cells=[new_code_cell("n = 0", metadata={"tags": ["parameters"]}), new_code_cell(_COUNTED)])
    nbformat.write(notebook, tmp_path / "nb.ipynb")
    arguments = command("run", "nb.ipynb", "-k", KERNEL, "--grid", "n=1,2", "--workers", "2", "-o", "out")
    with ended(subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)):
        eventually((tmp_path / "out" / f"nb-{KERNEL}-n=1.ipynb").exists)
        eventually(lambda: list(tmp_path.glob("2.*")))
        (kernel,) = (int(file.suffix[1:]) for file in tmp_path.glob("2.*"))
    eventually(lambda: not alive(kernel))
    (tmp_path / "go").touch()
    again = subprocess.run([*arguments, "--resume"], capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "All 2 runs passed" in again.stdout
    assert (len(list(tmp_path.glob("1.*"))), len(list(tmp_path.glob("2.*")))) == (1, 2)
