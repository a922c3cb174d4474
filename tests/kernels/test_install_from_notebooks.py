"""``%tfkernels install``: the Python whose command it runs, and where that registers kernels."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.notebooks import run_cells, text
from tests.support.processes import alive, started
from tests.support.waiting import eventually
from tfkernels import env_vars
from tfkernels.client import kernelspecs
from tfkernels.errors import TFKernelsError, UsageError
from tfkernels.notebook import shell_commands, tfkernels_magic
from tfkernels.start_or_explain import JUPYTER

BESIDE = Path(sys.executable).parents[1] / "share" / "jupyter" / "kernels"


def started_with(monkeypatch: pytest.MonkeyPatch, folder: object, **variables: object) -> None:
    """``folder`` is where the notebook finds its kernels."""
    monkeypatch.setattr(env_vars, "AT_START", {name: str(value) for name, value in variables.items()})
    monkeypatch.setattr(kernelspecs, "folders", lambda: [Path(str(folder))])


def test_a_tensorflow_kernel_asks_the_python_that_registered_it(monkeypatch: pytest.MonkeyPatch) -> None:
    python = sys.executable
    monkeypatch.setattr(sys, "executable", "/of/the/kernel/python")
    for folder, options in [(BESIDE, []), ("/home/me/.local/share/jupyter/kernels", ["--user"])]:
        started_with(monkeypatch, folder, **{JUPYTER: python})
        assert list(shell_commands._pythons()) == [(python, options), ("/of/the/kernel/python", ["--user"])]


def test_another_kernel_asks_the_python_of_its_jupyter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/another/environment/python")
    started_with(monkeypatch, BESIDE, JPY_PARENT_PID=os.getpid())
    (jupyter, options), other = shell_commands._pythons()
    assert (Path(jupyter).parents[1], options) == (BESIDE.parents[2], [])
    assert other == ("/another/environment/python", ["--user"])


@pytest.mark.parametrize("parent", ["", "1000000000"])
def test_without_a_python_of_jupyter_the_users_folder_is_taken(monkeypatch: pytest.MonkeyPatch, parent: str) -> None:
    started_with(monkeypatch, BESIDE, JPY_PARENT_PID=parent)
    assert list(shell_commands._pythons()) == [(sys.executable, ["--user"])]


def test_without_the_command_the_error_says_what_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell_commands, "_pythons", lambda: [(sys.executable, [])])
    monkeypatch.setattr(shell_commands, "_TRY", "import nothing_of_this_name")
    with pytest.raises(TFKernelsError, match=r"run: pip install tfkernels, and: tfkernels install 2.11 --with pandas"):
        shell_commands.install("2.11 --with pandas")


def test_an_open_quotation_mark_is_refused() -> None:
    with pytest.raises(UsageError, match=r"No closing quotation. Add the quotation mark"):
        shell_commands.install("2.11 --with 'pandas")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--with https://h/x.whl#sha256=ab --offline", ["--with", "https://h/x.whl#sha256=ab", "--offline"]),
        ("2.11 --with 'a #b'  # it's there", ["2.11", "--with", "a #b"]),
        ("# all", []),
    ],
)
def test_only_comments_are_left_out(line: str, words: list[str]) -> None:
    assert shell_commands._words(line) == words


def test_any_space_separates_install_from_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setitem(tfkernels_magic._COMMANDS, "install", lines.append)
    tfkernels_magic.manage("install\t2.11 --with  pandas")
    assert lines == ["2.11 --with  pandas"]


def interrupted_at(monkeypatch: pytest.MonkeyPatch, code: str, *points: str) -> list[str]:
    """Output of a command, and what ended it. At each of ``points`` in it, this process alone is interrupted."""
    shown: list[str] = []

    def show(line: str, **_: Any) -> None:
        shown.append(line.strip())
        if line.strip() in points:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(shell_commands, "print", show, raising=False)
    with pytest.raises(KeyboardInterrupt):
        shell_commands._run([sys.executable, "-u", "-c", code], os.environ)
    return shown


def test_an_interrupt_reaches_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import time\ntry: print('works'); time.sleep(1000); print('done')\nexcept KeyboardInterrupt: print('ended')"
    assert interrupted_at(monkeypatch, code, "works") == ["works", "ended"]


def test_a_second_interrupt_kills_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import signal, time\nsignal.signal(signal.SIGINT, lambda *_: print('heard'))\n"
        "print('works'); time.sleep(1000); print('done')"
    )
    assert interrupted_at(monkeypatch, code, "works", "heard") == ["works", "heard"]


def test_the_command_ends_with_its_kernel() -> None:
    code = shell_commands._WATCH + "import time; print(os.getpid(), flush=True); time.sleep(600)"
    call = f"shell_commands._run({[sys.executable, '-c', code]!r}, os.environ)"
    run = f"import os; from tfkernels.notebook import shell_commands; {call}"
    with started([sys.executable, "-c", run], lines=1) as (kernel, (command,)):
        kernel.kill()
    eventually(lambda: not alive(int(command)))


def test_the_command_imports_nothing_of_the_current_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "typer.py").write_text("raise SystemExit('not for you')")
    monkeypatch.chdir(tmp_path)
    shell_commands.install("--help")
    assert "Build environments and register their kernels" in capsys.readouterr().out


@pytest.mark.parametrize("here", ["python3", "tf1"])
def test_kernels_are_installed_from_a_notebook(installed: object, here: str) -> None:
    done, failed = run_cells(
        here,
        "%load_ext tfkernels",
        "%tfkernels install tf2  # it's there",
        "%tfkernels install 2.99",
        allow_errors=True,
    )[-2:]
    assert text(done).startswith("tf2: already there. TensorFlow 2.21.0, ")
    assert f"Kernel: {sys.prefix}/share/jupyter/kernels/tf2, " in text(done)
    assert "error: " in text(failed)
    assert failed[-1].evalue == "tfkernels install failed: the reason is in its output above."
