"""``%%in NAME``: Python kernels that tfkernels did not make, with nothing installed in them."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from uv import find_uv_bin

import tfkernels
from tests.support.interpreters import interpreter
from tests.support.notebooks import plain, run_cells, text
from tests.support.processes import gone, parse, started
from tests.support.specimens import assert_same
from tests.support.waiting import eventually
from tfkernels.client import handshake, kernelspecs
from tfkernels.client.kernel import Kernel
from tfkernels.errors import ExchangeError, KernelDied, KernelStartError, RemoteError, UnknownKernel, UsageError

OLDEST = ["3.6", "3.8", "3.9", "3.10"]

# Not an ipykernel's kernel, although it is made with ipykernel, and of Python.
ECHO = """
from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel
class Echo(Kernel):
    implementation = implementation_version = banner = "echo"
    language_info = {"name": "python", "mimetype": "text/x-python", "file_extension": ".py"}
    async def do_execute(self, code, silent, store_history=True, user_expressions=None, allow_stdin=False):
        return {"status": "ok", "execution_count": 1, "payload": [], "user_expressions": {}}
IPKernelApp.launch_instance(kernel_class=Echo)
"""


def register(folder: Path, name: str, argv: list[str], **spec: object) -> None:
    described = {"argv": argv, "display_name": name.title(), "language": "python", **spec}
    (folder / "kernels" / name).mkdir(parents=True)
    (folder / "kernels" / name / "kernel.json").write_text(json.dumps(described))


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with ipykernel and no NumPy, on the oldest Python of this machine."""
    folder = tmp_path_factory.mktemp("bare") / "environment"
    python = next(filter(None, map(interpreter, OLDEST)), sys.executable)
    subprocess.run([find_uv_bin(), "venv", "--quiet", "--python", python, folder], check=True)
    subprocess.run([find_uv_bin(), "pip", "install", "--quiet", "--python", folder, "ipykernel", "pip"], check=True)
    return folder


@pytest.fixture(scope="module", autouse=True)
def _registered(bare: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("jupyter")
    connect = ["-f", "{connection_file}"]
    register(
        folder,
        "bare",
        ["{resource_dir}/start", *connect],
        env={"GREETING": "hello, ${HOME}", "PATH": f"{bare}/bin:${{PATH}}"},
    )
    start = folder / "kernels" / "bare" / "start"
    start.write_text(f"#!/bin/sh\n{bare}/bin/python -m ipykernel_launcher $@\n")  # stands between
    start.chmod(0o755)
    register(folder, "echo", [sys.executable, "-c", ECHO, *connect])
    register(folder, "broken", [sys.executable, "-c", "raise SystemExit('this is why')", *connect])
    register(folder, "silent", [sys.executable, "-c", "import time; time.sleep(1000)"])
    register(folder, "lost", ["/nowhere/python", *connect])
    register(folder, "ruby", ["ruby", *connect], language="ruby")
    provisioner = {"kernel_provisioner": {"provisioner_name": "cluster", "config": {}}}
    register(folder, "remote", ["python", *connect], metadata=provisioner)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(folder))
        yield


def test_it_is_used_like_one_of_ours() -> None:
    with Kernel("python3") as kernel:
        outputs = kernel.run("y = x + 1; t = (x, None)", inputs={"x": np.ones(10**5)}, outputs={"y": "y", "t": "t"})
        assert_same(outputs, {"y": np.ones(10**5) + 1, "t": (np.ones(10**5), None)})
        with pytest.raises(RemoteError, match="ZeroDivisionError in kernel python3") as caught:
            kernel.run("def f():\n    1/0\n\nf()")
        assert "tfkernels" not in plain("".join(caught.value._render_traceback_()))
        with pytest.raises(ExchangeError, match="no 'nowhere' in kernel python3"):
            kernel["nowhere"]
        kernel.run("import tfkernels as t, sys; origin = t.__spec__.origin; equal = t.compare([1.0], [1.0]).passed")
        assert kernel["origin, equal"] == ("<sent by another kernel>", True), "all of the package is there"
        with pytest.raises(KernelDied, match=r"SIGSEGV(.|\n)*last words(.|\n)*variables are gone"):
            kernel.run("import os, ctypes\nos.write(2, b'last words')\nctypes.string_at(0)")
        assert kernel["1 + 1"] == 2


@pytest.mark.parametrize("here", ["python3", "tf1"])
def test_from_every_kind_of_notebook(installed: object, here: str) -> None:
    *_, ran, got, line, listed = run_cells(
        here,
        "%load_ext tfkernels\na = [1, 2]",
        "%%in python3 -i a -o b,where\nimport sys\nb, where = a + [3], sys.prefix\nprint('there')\nsorted(a)",
        "print(b, where)",
        "%in python3 len(b)",
        "%tfkernels",
    )
    assert text(ran) == "there\n[1, 2]"
    assert text(got) == f"[1, 2, 3] {sys.prefix}\n", "the one of this Jupyter, whoever asks"
    assert text(line) == "3"
    assert any(words[0] == "python3" and "idle" in words for words in map(str.split, text(listed).splitlines()))


@pytest.mark.parametrize("here", ["python3", "tf1"])
def test_users_variables_reach_foreign_kernels_only(
    here: str, installed: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the picker, also from a notebook whose own kernel got none of them."""
    users = {"PYTHONPATH": str(tmp_path), "LD_LIBRARY_PATH": str(tmp_path), "CONDA_PREFIX": str(tmp_path)}
    for name, value in users.items():
        monkeypatch.setenv(name, value)
    asked = f"import os; print([os.environ.get(name) for name in {[*users, 'PYTHONNOUSERSITE']}])"
    *_, foreign, ours = run_cells(here, "%load_ext tfkernels", f"%%in bare\n{asked}", f"%%tf2\n{asked}")
    assert ast.literal_eval(text(foreign)) == [*users.values(), None]
    assert not {*users.values()} & {*ast.literal_eval(text(ours))}
    (native,) = run_cells("bare", asked)
    assert text(foreign) == text(native)


def test_what_its_children_say_is_shown_once() -> None:
    """ipykernel reads it, and writes it to its log as well, which is shown, too."""
    with Kernel("python3") as kernel:
        kernel.start()  # on a busy machine the first output would say that it is starting
        seen: list[dict[str, Any]] = []
        for code in ("os.system('echo x')", "subprocess.run(['echo', 'x'], stdout=sys.stdout)"):
            kernel.run(f"import os, subprocess, sys, time\n{code}\ntime.sleep(0.5)", show=seen.append)
    assert "".join(f"{output['name']}: {output['text']}" for output in seen) == "stdout: x\nstdout: x\n"


def test_nothing_is_left_in_foreign_kernels(bare: Path) -> None:
    files = {path for path in bare.rglob("*") if "__pycache__" not in path.parts}
    with Kernel("bare") as kernel:
        shown: list[str] = []

        def show(output: dict[str, object]) -> None:
            if output.get("name") == "stdout":
                shown.append(str(output["text"]))

        kernel.run("print(sorted(name for name in globals() if name[0] != '_'), In)", show=show)
        kernel.run("import os; print(os.environ['GREETING'], ['TFKERNELS_FOLDER' in os.environ])", show=show)
    names, environment = "".join(shown).splitlines()
    assert names.startswith("['In', 'Out', 'exit', 'get_ipython', ")
    assert "tfkernels" not in names
    assert environment == f"hello, {Path.home()} [False]"
    assert {path for path in bare.rglob("*") if "__pycache__" not in path.parts} == files


def test_without_numpy_only_values_cannot_be_passed(bare: Path) -> None:
    kernel = tfkernels.kernel("bare")
    kernel.run("x = 1")
    for wrong in (lambda: kernel.run("", inputs={"y": 1}), lambda: kernel["x"]):
        with pytest.raises(ExchangeError, match=r"(?s)kernel bare lacks numpy.*%%in bare\n%pip install numpy"):
            wrong()
    kernel.run("assert x == 1 and 'y' not in globals()")


def test_the_advised_cell_installs_what_is_missing(bare: Path) -> None:
    with Kernel("bare") as kernel:
        with pytest.raises(ExchangeError) as caught:
            kernel["1"]
        magic, cell = str(caught.value).splitlines()[1:]
        assert magic == "%%in bare"
        try:
            kernel.run(cell)
            assert kernel["1"] == 1
        finally:
            kernel.run("%pip uninstall -y numpy")


REFUSED = [
    ("ruby", UnknownKernel, "kernel 'ruby': it is one for ruby"),
    ("remote", UnknownKernel, "started by cluster.*%tfkernels attach"),
    ("bear", UnknownKernel, "Did you mean bare"),
    ("lost", KernelStartError, r"/nowhere/python.*Correct or delete its .*kernel\.json"),
    ("broken", KernelStartError, r"(?s)exit code 1.*this is why.*jupyter console --kernel broken"),
    ("echo", KernelStartError, "Kernel echo cannot be used from here: it does not answer as a Python kernel does"),
]


@pytest.mark.parametrize(("name", "error", "why"), REFUSED, ids=[name for name, *_ in REFUSED])
def test_what_cannot_be_used_says_why(name: str, error: type[Exception], why: str) -> None:
    with pytest.raises(error, match=why):
        Kernel(name).run("pass")


def test_a_kernel_that_gives_no_answer_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "START_TIMEOUT", 0.1)
    kernel = Kernel("silent")
    with pytest.raises(KernelStartError, match="Kernel silent did not start: it gave no answer"):
        kernel.run("pass")
    assert kernel.pid is not None
    assert kernel._connection is not None
    assert gone([kernel.pid], [kernel._connection.process.folder])


def test_a_name_is_wanted() -> None:
    from tfkernels.notebook.magics import _kernel_magic

    with pytest.raises(UsageError, match="%%in NAME"):
        _kernel_magic(None, "in")("-i x", "pass")


def test_jupyters_own_python_needs_no_kernelspec_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernelspecs, "folders", lambda: [tmp_path])
    assert kernelspecs.get("python3").command("")[0]


_OWNER = """
import sys, time, tfkernels
kernel = tfkernels.kernel("bare")
kernel.run("import os, subprocess; p = subprocess.Popen(['sleep', '1000']); print(os.getpid(), p.pid, end=' ')")
print(kernel._connection.process.folder, flush=True)
time.sleep(1000)
"""


def test_foreign_kernels_behind_a_wrapper_end_too() -> None:
    with started([sys.executable, "-c", _OWNER], 1) as (owner, lines):
        pids, folders = parse(lines)
        assert all(folder.exists() for folder in folders)
        os.kill(owner.pid, signal.SIGKILL)
        eventually(lambda: gone(pids, folders))
