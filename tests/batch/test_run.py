"""``tfkernels run`` as a user types it: real kernels, papermill, Dask, and the files and exit codes that come out."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import junitparser
import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from typer.testing import CliRunner

from tests.support.processes import ended
from tests.support.waiting import DEADLINE
from tfprovisioner.cli.app import app

pytestmark = pytest.mark.usefixtures("installed")

RECORD = "import tfkernels, numpy as np"


def _notebook(path: Path, *cells: str) -> Path:
    made = [new_code_cell(cell) for cell in cells]
    made[0].metadata["tags"] = ["parameters"]
    nbformat.write(new_notebook(cells=made), path)
    return path


def _command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "tfprovisioner", "run", *map(str, arguments)]


def _run(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _command(*arguments), cwd=folder, capture_output=True, text=True, check=False, timeout=DEADLINE
    )


def _report(folder: Path) -> Any:
    return json.loads((folder / "report.json").read_text())


def _started(folder: Path) -> dict[str, str]:
    return {path.stem: nbformat.read(path, 4).metadata.tfkernels.outcome.started for path in folder.glob("*.ipynb")}


def test_resume_runs_only_what_failed(tmp_path: Path) -> None:
    one = _notebook(tmp_path / "one.ipynb", "n = 0", RECORD, "tfkernels.record('square', np.float32(n) ** 2)")
    twice = "tfkernels.record('twice', 2 * n)"
    two = _notebook(tmp_path / "two.ipynb", "n = 0", RECORD, "assert n != 2, 'planned'", twice)
    options = ["one.ipynb", "two.ipynb", "-k", "python3", "--grid", "n=1,2", "-o", "out"]
    done = _run(tmp_path, *options)
    assert done.returncode == 1, done.stdout + done.stderr
    out = tmp_path / "out"
    runs = {run["name"]: run for run in _report(out)["runs"]}
    assert len(runs) == 4
    assert [name for name, run in runs.items() if run["state"] != "passed"] == ["two-python3-n=2"]
    assert runs["two-python3-n=2"]["failure"]["message"] == "planned"
    assert sorted(path.stem for path in out.glob("*.ipynb")) == sorted(runs)
    suite = junitparser.JUnitXml.fromfile(str(out / "junit.xml"))
    assert suite.failures >= 1
    assert "planned" in done.stdout

    before = _started(out)
    (out / "one-python3-n=2.ipynb").unlink()
    _notebook(two, "n = 0", RECORD, "# mended", twice)
    again = _run(tmp_path, *options, "--resume")
    assert again.returncode == 0, again.stdout + again.stderr
    after = _started(out)
    assert {name for name in before if after[name] == before[name]} == {"one-python3-n=1"}
    assert one.exists()


def test_differences_exit_with_3_unless_tolerated(tmp_path: Path) -> None:
    _notebook(
        tmp_path / "nb.ipynb", "import sys", RECORD, "tfkernels.record('x', 1.0 + 0.01 * (sys.version_info < (3, 8)))"
    )
    first = _run(tmp_path, "nb.ipynb", "-k", "python3", "-k", "tf1", "-o", "out", "--json")
    assert first.returncode == 3, first.stderr
    assert json.loads(first.stdout)["runs"]
    second = _run(tmp_path, "nb.ipynb", "-k", "python3", "-k", "tf1", "-o", "out", "--resume", "--rtol", "0.1")
    assert second.returncode == 0, second.stdout + second.stderr
    assert "are there already" in second.stderr


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Two runs with an input file, which write a file each; and their folder."""
    folder = tmp_path_factory.mktemp("done")
    (folder / "data").mkdir()
    (folder / "data" / "x.txt").write_text("7")
    _notebook(folder / "nb.ipynb", "k = ''", "open('out.txt', 'w').write(open('data/x.txt').read() + k)")
    options = ["-p", "m", "1", "--grid", "k=a,b", "--input", "data", "-o", "out"]
    return _run(folder, "nb.ipynb", "-k", "python3", *options), folder


def test_input_files_travel_and_outputs_return(done: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    process, folder = done
    assert process.returncode == 0, process.stderr
    assert (folder / "out" / "nb-python3-k=b.files" / "out.txt").read_text() == "7b"
    assert not (folder / "out.txt").exists()


def test_messages_appear_once(done: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    lines = [line for line in done[0].stderr.splitlines() if not line.startswith(("nb-python3-k=", "["))]
    assert lines[0] == "nb.ipynb does not mention m; the parameters are set all the same."
    assert lines[1] == "Starting the workers …"
    assert len(lines) == 3, "nothing of papermill's, nbclient's or Dask's"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nb.ipynb"], "does not say which kernel of tfkernels it needs"),
        (["nb.ipynb", "-k", "tf99"], "There is no kernel 'tf99'"),
        (["none.ipynb", "-k", "tf1"], "Cannot read the notebook none.ipynb"),
        (["text.txt", "-k", "tf1"], "not a notebook"),
        (
            ["nb.ipynb", "-k", "tf1", "--grid", "lr"],
            "Invalid value for --grid: 'lr' is not of the form NAME=VALUE,VALUE",
        ),
        (["nb.ipynb", "-k", "tf1", "-p", "lr"], "two words"),
        (["nb.ipynb", "-k", "tf1", "--memory", "much"], "not a size"),
        (["nb.ipynb", "-k", "tf1", "--input", "nowhere"], "Cannot read the input"),
        (["nb.ipynb", "-k", "tf99", "--dry-run"], "There is no kernel 'tf99'"),
        (["nb.ipynb", "-k", "tf1", "--baseline", "tf2"], "not one of the kernels"),
        (["nb.ipynb", "-k", "tf1", "--resume"], "--output DIR"),
        (["nb.ipynb", "-k", "tf1", "-o", "full"], "is not empty"),
        (["nb.ipynb", "-k", "tf1", "--", "-x"], "words after -- are for scripts"),
        (["nb.ipynb", "model.py", "-k", "tf1"], "a script runs alone"),
        (["model.py", "-k", "tf1"], "Cannot read the script"),
        (["model.py", "-k", "tf1", "-p", "lr", "1"], "words after --"),
    ],
)
def test_wrong_usage_is_told_before_anything_runs(
    tmp_path: Path, arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _notebook(tmp_path / "nb.ipynb", "open('ran', 'w')")
    (tmp_path / "text.txt").write_text("text")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("precious")
    done = CliRunner().invoke(app, ["run", *arguments])
    assert done.exit_code == 2, done.output
    assert says in " ".join(done.stderr.replace("│", " ").split())
    assert not (tmp_path / "ran").exists()
    assert (tmp_path / "full" / "mine").read_text() == "precious"


def test_a_dry_run_prints_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _notebook(tmp_path / "nb.ipynb", "n = 1")
    done = CliRunner().invoke(app, ["run", "nb.ipynb", "-k", "tf1", "-k", "tf2", "-p", "n", "3", "--dry-run"])
    assert done.stdout.splitlines() == [f'nb-tf{n}: nb.ipynb on tf{n} {{"n": 3}}' for n in (1, 2)]
    told = CliRunner().invoke(app, ["run", "nb.ipynb", "-k", "tf1", "--dry-run", "--json"])
    assert [each["name"] for each in json.loads(told.stdout)] == ["nb-tf1"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["nb.ipynb"]


def test_an_interrupt_keeps_finished_runs(tmp_path: Path) -> None:
    _notebook(tmp_path / "quick.ipynb", "1")
    _notebook(
        tmp_path / "long.ipynb", "import os, time", "open('pid', 'w').write(str(os.getpid()))", "time.sleep(1000)"
    )
    command = _command("quick.ipynb", "long.ipynb", "-k", "python3", "-o", "out", "--workers", "1")
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with ended(subprocess.Popen(command, cwd=tmp_path, **pipes)) as process:
        assert process.stderr is not None
        for line in process.stderr:  # ends with the process at the latest
            if "long-python3: running" in line and (tmp_path / "out" / "quick-python3.ipynb").exists():
                break
        kernel = _written_pid(tmp_path / "pid", process)
        process.send_signal(signal.SIGINT)
        told = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130, told
    assert "--resume" in told[1]
    assert not psutil.pid_exists(kernel) or psutil.Process(kernel).status() == psutil.STATUS_ZOMBIE
    assert [run["name"] for run in _report(tmp_path / "out")["runs"] if run["state"] == "passed"] == ["quick-python3"]


def _written_pid(path: Path, process: subprocess.Popen[Any]) -> int:
    while process.poll() is None:
        try:
            return int(path.read_text())
        except (OSError, ValueError):
            threading.Event().wait(0.05)
    raise AssertionError("it ended before its notebook began")


class _Store(BaseHTTPRequestHandler):
    """What papermill's http reader and writer want: GET and PUT."""

    files: dict[str, bytes]

    def do_GET(self) -> None:
        content = self.files.get(self.path)
        self.send_response(404 if content is None else 200)
        self.end_headers()
        self.wfile.write(content or b"")

    def do_PUT(self) -> None:
        self.files[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def store() -> Iterator[tuple[str, dict[str, bytes]]]:
    files: dict[str, bytes] = {}
    handler = type("Handler", (_Store,), {"files": files})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", files
        server.shutdown()
        thread.join()


def test_notebooks_come_from_addresses_and_go_to_them(tmp_path: Path, store: tuple[str, dict[str, bytes]]) -> None:
    address, files = store
    cells = (RECORD, "tfkernels.record('big', np.arange(100_000.0))")
    files["/in/nb.ipynb"] = _notebook(tmp_path / "nb.ipynb", *cells).read_bytes()
    options = [f"{address}/in/nb.ipynb", "-k", "python3", "-k", "tf1", "-o", f"{address}/out"]
    done = _run(tmp_path, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    # By http papermill writes JSON only.
    assert {f"/out/{name}" for name in ("nb-python3.ipynb", "nb-tf1.ipynb", "report.json")} == set(files) - {
        "/in/nb.ipynb"
    }
    assert {path.name for path in tmp_path.glob("tfkernels-runs/*/*")} == {"report.html", "junit.xml"}
    assert "equal" in done.stdout, "large values are in the notebook"
    again = _run(tmp_path, *options, "--resume")
    assert "2 of 2 runs are there already" in again.stderr
