"""The Python API on real kernels with real TensorFlow: run, values, errors, interrupts, death."""

from __future__ import annotations

import os
import re
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfkernels
from tests.support.cells import SLEEP, Answering, begun, interrupt_when, stubborn
from tests.support.specimens import assert_same
from tests.support.waiting import DEADLINE, eventually
from tfkernels.client import kernelspecs, stop_button
from tfkernels.client.kernel import Kernel
from tfkernels.client.kernelspecs import KernelSpec
from tfkernels.client.process import KernelProcess
from tfkernels.errors import ExchangeError, KernelDied, KernelStartError, RemoteError, RemoteInterrupt, UnknownKernel
from tfkernels.output import relay


def test_tensorflow_works_there(remote: Kernel) -> None:
    assert remote["__import__('tensorflow').__version__"].startswith(remote.name[2:] + ".")


@pytest.mark.parametrize(
    "value",
    [
        None, True, 7, 2**80, -0.0, float("inf"), 1 + 2j, "ä\ud800", b"\0x", bytearray(b"y"), (1, [2, {"k": {3}}]),
        np.float16(0.1), np.datetime64("2020-01-01"), np.arange(24.0).reshape(2, 3, 4)[:, ::2].T,
        np.asfortranarray(np.ones((300, 400), ">f4")), np.zeros((0, 3), "c16"), np.array(5, "u1"),
        np.array(["a", None], object), np.zeros(3, [("a", "<i2"), ("b", "S3")]), np.ones((1000, 1000)),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_there_and_back(remote: Kernel, value: object) -> None:
    remote["value"] = value
    assert_same(remote["value"], value)


def test_values_are_copies(remote: Kernel) -> None:
    array = np.zeros(10**6)
    remote["x"] = array
    array[:] = 1
    back = remote["x"]
    remote.run("x += 2")
    back += 3
    assert array[0] == 1
    assert remote["x[0]"] == 2
    assert back[0] == 3


def test_printed_and_displayed_here(remote: Kernel, capsys: pytest.CaptureFixture[str]) -> None:
    remote.run(
        "import sys, os\nprint('out')\nprint('err', file=sys.stderr)\n"
        "os.write(1, b'raw\\n'); os.write(2, b'rawerr\\n')\nprint('end')"
    )
    out, err = capsys.readouterr()
    assert "out\n" in out
    assert "raw\n" in out
    assert "end\n" in out
    assert "err\n" in err
    assert "rawerr\n" in err


def test_outputs_of_a_cell(remote: Kernel) -> None:
    outputs = remote.run("b = a * 2", inputs={"a": np.arange(3)}, outputs={"twice": "b", "n": "len(b) + 1"})
    assert np.array_equal(outputs["twice"], [0, 2, 4])
    assert outputs["n"] == 4


def test_the_remote_error_with_its_traceback(remote: Kernel) -> None:
    with pytest.raises(RemoteError, match=f"ZeroDivisionError in kernel {remote.name}") as caught:
        remote.run("def f():\n    1/0\n\nf()")
    shown = "\n".join(caught.value._render_traceback_())
    assert "ZeroDivisionError" in shown
    assert "tfkernels" not in shown
    with pytest.raises(RemoteError, match="ZeroDivisionError"):
        remote["1/0"]
    assert remote["1 + 1"] == 2


def test_errors_that_cannot_be_shown_are_answered(remote: Kernel) -> None:
    """ipykernel sends no reply when formatting an error raises; who waits for one would wait for ever."""
    with pytest.raises(RemoteError):
        remote.run("class Odd(Exception):\n    def __str__(self):\n        raise RuntimeError('no text')\nraise Odd")
    assert remote["1 + 1"] == 2


def test_all_or_nothing(remote: Kernel) -> None:
    remote.run("kept = 1")
    with pytest.raises(ExchangeError, match=r"bad\[0\]: objects of type"):
        remote.run("kept = 2", inputs={"kept": 3, "bad": [object()]})
    assert remote["kept"] == 1, "the cell did not run, and nothing was bound"
    with pytest.raises(ExchangeError, match=r"bad\['k'\]: objects of type"):
        remote.run("good = 1; bad = {'k': object()}", outputs={"good": "good", "bad": "bad"})
    with pytest.raises(ExchangeError, match="no 'nowhere' in kernel"):
        remote.run("", outputs={"nowhere": "nowhere"})


def test_tensors_arrive_as_values_or_explain(remote: Kernel) -> None:
    remote.run("import tensorflow as tf\nt = tf.constant([1.0])")
    if remote.name == "tf1":
        with pytest.raises(ExchangeError, match=r"value: this Tensor has no value yet.*sess\.run"):
            remote["t"]
    else:
        assert_same(remote["t"], np.array([1.0], "f4"))


@pytest.mark.parametrize(
    "code", ["import time; time.sleep(1000)", "while True: pass", "import asyncio; await asyncio.sleep(1000)"]
)
def test_interrupt_reaches_the_other_kernel(remote: Kernel, code: str) -> None:
    remote.run("state = 5")
    interrupt_when(lambda: begun(remote))
    with pytest.raises(RemoteInterrupt) as caught:
        remote.run(code)
    assert re.search("KeyboardInterrupt|CancelledError", "".join(caught.value._render_traceback_()))
    assert remote["state"] == 5, "both are usable afterwards"


def test_interrupt_while_it_starts(installed: object) -> None:
    kernel = Kernel("tf2")
    interrupt_when(lambda: kernel.pid)
    with pytest.raises(KeyboardInterrupt):
        kernel.start()
    assert kernel.pid is None
    assert kernel["1 + 1"] == 2
    kernel.shutdown()


def test_a_late_second_interrupt_ends_the_kernel(
    remote: Kernel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(stop_button, "INTERRUPT_GRACE", 0.1)
    seen: list[dict[str, Any]] = []
    marker = tmp_path / "begun"
    interrupt_when(marker.exists, lambda: any("ignored the interrupt" in output.get("text", "") for output in seen))
    with pytest.raises(
        KernelDied, match=f"Kernel {remote.name} was ended by your repeated interrupt while the cell ran"
    ):
        remote.run(stubborn(marker), show=seen.append)
    assert remote.state == "not running"
    assert remote["1 + 1"] == 2


def test_an_impatient_double_interrupt_loses_nothing(
    remote: Kernel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(stop_button, "INTERRUPT_GRACE", 60.0)
    first, second = tmp_path / "first", tmp_path / "second"
    remote.run("state = 5")
    interrupt_when(first.exists, second.exists)
    with pytest.raises(RemoteInterrupt):
        remote.run(
            f"import time\ntry:\n    open({str(first)!r}, 'w').close()\n    time.sleep(1000)\n"
            f"except KeyboardInterrupt:\n    open({str(second)!r}, 'w').close()\n    time.sleep(1000)"
        )
    assert remote["state"] == 5


def test_an_error_here_ends_the_cell_there(remote: Kernel) -> None:
    """A cell that ran on unheard would write to memory that is somebody else's by then."""

    class Broken(relay.Relay):
        def stream(self, name: str, text: str) -> None:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        remote.run(f"state = 5\nprint('x', flush=True)\n{SLEEP}", show=Broken())
    assert remote["state"] == 5


@pytest.mark.parametrize("name", ["tf1", "tf2"])
def test_input_works_as_the_first_cell(installed: object, name: str) -> None:
    with Kernel(name) as kernel:
        kernel.run("import getpass; answers = input('a? '), getpass.getpass('b? ')", show=Answering())
        assert kernel["answers"] == ("a? False", "b? True")
        assert kernel.run("", outputs={"x": "input('c? ')"}, show=Answering()) == {"x": "c? False"}


def test_interrupt_while_an_expression_is_evaluated(remote: Kernel, tmp_path: Path) -> None:
    marker = tmp_path / "begun"
    remote.run("state = 5")
    interrupt_when(marker.exists)
    with pytest.raises(RemoteInterrupt):
        remote[f"open({str(marker)!r}, 'w').close(), __import__('time').sleep(1000)"]
    assert remote["state"] == 5


def test_interrupt_while_it_asks(remote: Kernel) -> None:
    asked = threading.Event()

    class Waiting(Answering):
        def ask(self, prompt: str, password: bool) -> str:
            asked.set()
            threading.Event().wait(DEADLINE)
            return ""

    remote.run("state = 5")
    interrupt_when(asked.is_set)
    with pytest.raises(RemoteInterrupt):
        remote.run("input()", show=Waiting())
    assert remote["state"] == 5


def test_shutdown_from_another_thread_ends_a_busy_kernel(installed: object) -> None:
    kernel = Kernel("tf1")
    caught: list[BaseException] = []

    def run() -> None:
        try:
            kernel.run(SLEEP)
        except KernelDied as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    kernel.start()
    thread.start()
    eventually(lambda: begun(kernel))
    kernel.shutdown()
    thread.join(DEADLINE)
    assert caught
    assert kernel.pid is None


@pytest.mark.parametrize(
    ("remote", "code", "how"),
    [
        ("tf1", "os.kill(os.getpid(), 9)", "SIGKILL"),
        ("tf2", "os._exit(3)", "exit code 3"),
        ("tf1", "import ctypes; ctypes.string_at(0)", "SIGSEGV"),
        ("tf2", "os.write(2, b'WHY')\nos.abort()", "SIGABRT(.|\n)*WHY"),
    ],
    indirect=["remote"],
)
def test_a_dead_kernel_is_reported_and_replaced(remote: Kernel, code: str, how: str) -> None:
    remote.run("state = 1; import os")
    folder = remote._connection.process.folder if remote._connection else Path()
    with pytest.raises(KernelDied, match=f"{how}(.|\n)*variables are gone"):
        remote.run(code)
    assert not folder.exists()
    with pytest.raises(ExchangeError, match="no 'state'"):
        remote["state"]


def test_death_between_two_cells_is_told_too(remote: Kernel) -> None:
    remote.run("state = 1")
    assert remote.pid is not None
    os.kill(remote.pid, signal.SIGKILL)
    eventually(lambda: remote.state == "ended by itself")
    with pytest.raises(KernelDied, match=r"SIGKILL(.|\n)*this cell, which was not run"):
        remote.run("state")
    assert remote["1 + 1"] == 2


def test_restart_and_shutdown(installed: object) -> None:
    with Kernel("tf1") as kernel:
        kernel.run("x = 1\nimport subprocess; p = subprocess.Popen(['sleep', '1000'])")
        child = kernel["p.pid"]
        kernel.restart()
        assert not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text()
        with pytest.raises(ExchangeError, match="no 'x'"):
            kernel["x"]
        folder = kernel._connection.process.folder if kernel._connection else Path()
        assert folder.stat().st_mode & 0o077 == 0, "nobody else gets at the sockets"
    assert kernel.pid is None
    assert not folder.exists()


def test_input_fails_without_a_frontend(remote: Kernel) -> None:
    with pytest.raises(RemoteError, match="does not support input requests"):
        remote.run("input('name? ')")


def test_environment_variables_stay_in_their_kernel(installed: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    with Kernel("tf1") as kernel:
        assert kernel["__import__('os').environ.get('CUDA_VISIBLE_DEVICES')"] is None


def test_threads_take_turns(remote: Kernel) -> None:
    results: list[int] = []
    threads = [threading.Thread(target=lambda n=n: results.append(remote[f"{n} * {n}"])) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert sorted(results) == [n * n for n in range(8)]


def test_unknown_kernel_names_the_nearest(installed: object) -> None:
    with pytest.raises(UnknownKernel, match=r"no kernel 'tf3'.*Did you mean tf[12]"):
        tfkernels.kernel("tf3")


def test_a_kernel_without_an_interpreter(installed: object) -> None:
    spec = KernelSpec(
        "tf9", Path("/nowhere"), {"argv": ["/nowhere/python"], "metadata": {"tfkernels": {"command": "MEND"}}}
    )
    with pytest.raises(KernelStartError, match="MEND"):
        KernelProcess(spec)


def test_a_kernel_that_ends_at_once_shows_stderr(remote: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(remote.name)
    broken = kernel.spec._replace(
        spec={**kernel.spec.spec, "argv": [kernel.spec.spec["argv"][0], "-c", "import nonsense"]}
    )
    monkeypatch.setattr(kernelspecs, "get", lambda name: broken)
    with pytest.raises(KernelStartError, match=r"(?s)exit code 1.*No module named 'nonsense'.*tfkernels doctor"):
        kernel.start()
    assert kernel.pid is None


def test_one_array_under_two_names_stays_one(remote: Kernel) -> None:
    array = np.zeros(10**6)
    outputs = remote.run(
        "one = a is b and a is c[0]; a += 1",
        inputs={"a": array, "b": array, "c": [array]},
        outputs={"one": "one", "x": "a", "y": "b"},
    )
    assert outputs["one"]
    assert outputs["x"] is outputs["y"]
    assert outputs["x"][0] == 1
    assert array[0] == 0
