"""``tfkernels run model.py -k tf1 -k tf2``: at the same time, labelled, compared, and ended whatever happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import textwrap
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.support.commands import command
from tests.support.processes import alive, ended
from tests.support.waiting import DEADLINE, eventually
from tfprovisioner.batch import output_dir
from tfprovisioner.cli.app import app

pytestmark = pytest.mark.usefixtures("installed")

_MEETING = """
    import os, pathlib, sys, time
    me = os.environ["TFKERNELS_KERNEL"]
    pathlib.Path(me).write_text("here")
    deadline = time.monotonic() + 240
    while len(list(pathlib.Path().glob("tf[12]"))) < 2:  # ends only if the other one runs, too
        assert time.monotonic() < deadline, "alone"
        time.sleep(0.05)
    print("hello", sys.argv[1:], sys.stdin.read() == "", flush=True)
    print("trouble", file=sys.stderr)
    for number in range(3):
        print("\\rstep", number, end="")
    print()
    print("no end of line", end="")
"""
_LASTING = """
    import os, pathlib, signal, subprocess, sys, time
    HANDLER
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
    pathlib.Path(f"{os.environ['TFKERNELS_KERNEL']}.pids").write_text(f"{os.getpid()} {child.pid}\\n")
    while True:
        time.sleep(1)
"""


def script(place: Path, text: str, name: str = "model.py") -> Path:
    (place / name).write_text(textwrap.dedent(text))
    return place / name


def run(place: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("run", "model.py", "-k", "tf1", "-k", "tf2", *arguments),
        cwd=place, env={**os.environ, **variables}, stdin=subprocess.PIPE, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_scripts_run_in_parallel_with_prefixed_lines(tmp_path: Path) -> None:
    script(tmp_path, _MEETING)
    done = run(tmp_path, "--", "--lr", "0.1")
    assert done.returncode == 0, done.stderr
    for name in ("tf1", "tf2"):
        said = [line for line in done.stdout.splitlines() if line.startswith(f"{name} | ")]
        assert said == [
            f"{name} | hello ['--lr', '0.1'] True",
            f"{name} | step 2",
            f"{name} | no end of line",
        ]
        assert f"{name} | trouble" in done.stderr.splitlines()
        assert f"{name} | exit code 0 after" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"model.py", "tf1", "tf2"}, "nothing is kept unasked"


def test_what_differs_is_told_and_a_failure_fails(tmp_path: Path) -> None:
    script(
        tmp_path,
        "import os, tfkernels\ntfkernels.record('sum', 1.0 if os.environ['TFKERNELS_KERNEL'] == 'tf1' else 2.0)\n",
    )
    differs = run(tmp_path)
    assert differs.returncode == 3
    assert "sum" in differs.stdout
    script(tmp_path, "import os\nassert os.environ['TFKERNELS_KERNEL'] == 'tf1', 'only there'\n")
    failed = run(tmp_path, "-o", "out")
    assert failed.returncode == 1
    one, other = output_dir.read(tmp_path / "out")
    assert (one.outcome.exit_code, other.outcome.exit_code) == (0, 1)
    assert other.outcome.failure is not None
    assert (other.outcome.failure.kind, other.outcome.failure.message) == ("AssertionError", "only there")
    assert other.outcome.failure.traceback.startswith("Traceback")
    assert other.outcome.tensorflow.startswith("2.")
    assert "only there" in (tmp_path / "out" / "model-tf2.log").read_text()
    assert not list((tmp_path / "out").glob("*.values")), "nothing was recorded"


def test_resume_reruns_missing_scripts_and_prints_json(tmp_path: Path) -> None:
    script(
        tmp_path,
        "import os\nprint('ran')\nassert not os.environ.get('BREAK_' + os.environ['TFKERNELS_KERNEL'])\n",
    )
    assert run(tmp_path, "-o", "out", BREAK_tf2="1").returncode == 1
    before = (tmp_path / "out" / "model-tf1.json").read_text()
    again = run(tmp_path, "-o", "out", "--resume", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)
    assert "tf2 | ran" in again.stderr
    assert "tf1 | ran" not in again.stderr
    assert (tmp_path / "out" / "model-tf1.json").read_text() == before


def test_a_script_that_a_signal_ends_says_so(tmp_path: Path) -> None:
    script(tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    done = run(tmp_path, "--workers", "1")
    assert done.returncode == 1
    assert done.stderr.count("was ended by signal SIGSEGV after") == 2


def test_daemons_with_open_pipes_do_not_block(tmp_path: Path) -> None:
    script(
        tmp_path,
        "import pathlib, subprocess, sys\nlater = 'import time; time.sleep(20)'\n"
        "subprocess.Popen([sys.executable, '-c', later], start_new_session=True)\nprint('done')\n",
    )
    done = run(tmp_path)
    assert (done.returncode, done.stdout.count("done")) == (0, 2)


def pids(place: Path) -> list[int]:
    return [int(word) for path in place.glob("*.pids") for word in path.read_text().split()]


@pytest.mark.parametrize("handler", ["", "signal.signal(signal.SIGINT, signal.SIG_IGN)"], ids=["", "deaf"])
def test_ctrl_c_ends_all_of_them(tmp_path: Path, handler: str) -> None:
    script(tmp_path, _LASTING.replace("HANDLER", handler))
    with _started(tmp_path, "-o", "out") as process:
        eventually(lambda: len(pids(tmp_path)) == 4)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    assert ("KeyboardInterrupt" in errors) is not bool(handler)
    assert "--resume --output out" in errors
    eventually(lambda: not any(map(alive, pids(tmp_path))))
    assert not list((tmp_path / "out").glob("model*.json")), "a run that was interrupted has no outcome"


def test_ctrl_c_gives_each_script_time_to_clean_up(tmp_path: Path) -> None:
    quick = "(lambda *_: sys.exit(1))"
    slow = "(lambda *_: (time.sleep(1), pathlib.Path('cleaned').touch(), sys.exit(1)))"
    handler = f"signal.signal(signal.SIGINT, {quick} if os.environ['TFKERNELS_KERNEL'] == 'tf1' else {slow})"
    script(tmp_path, _LASTING.replace("HANDLER", handler))
    with _started(tmp_path) as process:
        eventually(lambda: len(pids(tmp_path)) == 4)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=DEADLINE)
    assert (process.returncode, (tmp_path / "cleaned").exists()) == (130, True)


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_nothing_outlives_a_command_that_is_killed(tmp_path: Path, number: int) -> None:
    script(tmp_path, _LASTING.replace("HANDLER", ""))
    with _started(tmp_path) as process:
        eventually(lambda: len(pids(tmp_path)) == 4)
        process.send_signal(number)
        process.communicate(timeout=DEADLINE)
    eventually(lambda: not any(map(alive, pids(tmp_path))))


def _started(place: Path, *arguments: str) -> AbstractContextManager[subprocess.Popen[str]]:
    return ended(subprocess.Popen(
        command("run", "model.py", "-k", "tf1", "-k", "tf2", *arguments),
        cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ))  # fmt: skip


def test_a_terminal_gets_colours_and_bars(tmp_path: Path) -> None:
    script(
        tmp_path,
        "import os, time\nprint('columns', os.environ['COLUMNS'])\n"
        "for n in range(3):\n    print('\\rstep', n, end='', flush=True); time.sleep(0.2)\nprint()\n",
    )
    shown = _on_a_terminal(tmp_path, TERM="xterm")
    assert "\x1b[36mtf1 | \x1b[0mcolumns" in shown
    assert "\r\x1b[36mtf1 | \x1b[0mstep 1" in shown
    plain = _on_a_terminal(tmp_path, TERM="xterm", NO_COLOR="1")
    assert "tf1 | columns" in plain
    assert "\x1b[36mtf1" not in plain


def _on_a_terminal(place: Path, **variables: str) -> str:
    ours, theirs = os.openpty()
    arguments = command("run", "model.py", "-k", "tf1")
    with ended(subprocess.Popen(
        arguments, cwd=place, env={**os.environ, **variables}, stdin=theirs, stdout=theirs, stderr=theirs
    )) as process:  # fmt: skip
        os.close(theirs)
        content = b""
        try:
            while part := os.read(ours, 10_000):
                content += part
        except OSError:
            pass  # how a terminal says that nobody writes to it any more
        finally:
            os.close(ours)
        assert process.wait(DEADLINE) == 0
    return content.decode()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["none.py"], "Cannot read the script none.py: No such file"),
        (["model.py", "-k", "nope"], "There is no kernel 'nope'"),
        (["model.py", "-p", "n", "1"], "a script gets words after --"),
        (["model.py", "-o", "full"], "is not empty"),
    ],
)
def test_wrong_usage_is_told_before_any_start(
    tmp_path: Path, arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    script(tmp_path, "open('started', 'w')")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    done = CliRunner().invoke(app, ["run", "-k", "tf1", *arguments])
    assert done.exit_code == 2, done.output
    assert says in " ".join(done.stderr.replace("│", " ").split())
    assert not (tmp_path / "started").exists()
