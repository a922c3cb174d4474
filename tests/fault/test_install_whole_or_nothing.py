"""Killed at any moment, switched off, eight at once, on a disk of its own: a kernel works or is not there.

In the ordinary suite each of these is short, with a stand-in for TensorFlow. ``make soak`` (``pytest --soak``) does
what the names promise many times, with the real one.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import threading
import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.support.commands import built, command, in_a_mount, left, tfkernels
from tests.support.notebooks import run_cells, text
from tests.support.processes import ended
from tests.support.waiting import DEADLINE, eventually
from tfprovisioner.environments import store
from tfprovisioner.environments.backends import BACKENDS
from tfprovisioner.environments.run_checks import probe
from tfprovisioner.kernelspecs import install
from tfprovisioner.kernelspecs.install import Installed, Interrupted, Outcome, check
from tfprovisioner.progress import Reporter
from tfprovisioner.pythons.choose import Interpreter
from tfprovisioner.requirements.request import InstallRequest
from tfprovisioner.system import subprocesses


def started(*arguments: str, **variables: str) -> AbstractContextManager[subprocess.Popen[str]]:
    """An install in a process group of its own, with all that it starts."""
    return ended(subprocess.Popen(
        command("install", *arguments, "--user"), env={**os.environ, **variables}, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    ))  # fmt: skip


def wait_for(process: subprocess.Popen[str], word: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if word in line:
            return


def kill(process: subprocess.Popen[str], machine: bool) -> None:
    """SIGKILL for the command alone, whose uv goes on; or, as when a machine is switched off, for all at once."""
    if machine:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait(DEADLINE)


def registered(place: Path) -> list[Path]:
    return sorted((place / "jupyter" / "kernels").glob("*/kernel.json"))


def check_kernels(place: Path) -> None:
    """Each kernel in the picker points to a whole environment."""
    for kernel in registered(place):
        folder = Path(json.loads(kernel.read_text())["metadata"]["tfkernels"]["environment"])
        environment = store.load(folder)
        assert environment is not None, f"{kernel} points to {os.listdir(folder) if folder.exists() else 'nothing'}"
        assert environment.problem() is None


@pytest.fixture(autouse=True)
def _light(request: pytest.FixtureRequest, soak: bool) -> None:
    if not soak:
        request.getfixturevalue("light_commands")


_MOMENTS = [("creating", 0.01, False), ("installing", 0.3, True), ("checking", 0.5, False)]
"""After which step, how many seconds later, and whether with all that it started."""


def test_killed_at_any_moment(place: Path, soak: bool) -> None:
    moments = _MOMENTS
    if soak:
        dice = random.Random(1)  # noqa: S311 (not for secrets)
        steps = ["looking", "creating", "installing", "checking"]
        moments = [(dice.choice(steps), dice.uniform(0, 4), dice.random() < 0.5) for _ in range(20)]
    for moment in moments:
        kill_a_build(place, *moment)

    # What a power cut may leave beside that: a name without its content, and temporary files.
    for folder in left(place):
        (folder / "environment.json").touch()
        (folder / ".environment.json.1234").touch()
    done = tfkernels("install", "tf1", "--user")
    assert done.returncode == 0, done.stderr
    assert "tf1: installed" in done.stdout or soak
    assert len(left(place)) == 0 or soak, "and what the killed ones left is gone"

    for moment in moments[-1:]:  # a rebuild that is killed disturbs nothing
        kill_a_build(place, *moment)
    (kernel,) = registered(place)
    kernel.with_name(".kernel.json.999999999").touch()
    assert tfkernels("install", "tf1", "--user").returncode == 0
    assert not kernel.with_name(".kernel.json.999999999").exists(), "what it left there, too"
    folder = Path(json.loads(kernel.read_text())["metadata"]["tfkernels"]["environment"])
    assert probe(folder / "bin" / "python").tensorflow == "1.15.5"


def kill_a_build(place: Path, step: str, seconds: float, machine: bool) -> None:
    with started("tf1", "--rebuild") as process:
        wait_for(process, step)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        kill(process, machine)
    check_kernels(place)


_AIMS = {"at the record": "environment.json", "at the kernel": "kernel.json"}
"""The moments at which an install is killed, and the file that appears then."""


def test_kernels_survive_killed_rebuilds(place: Path, soak: bool) -> None:
    for arguments in (["tf1"], ["1.15", "--name", "mine"]):
        done = tfkernels("install", *arguments, "--user")
        assert done.returncode == 0, done.stderr
    aims, whole = list(_AIMS), 0.0
    if soak:  # else test_killed_at_any_moment does it
        aims = ["anywhere", *aims]
        begun = time.monotonic()
        assert tfkernels("install", "tf1", "--user", "--rebuild").returncode == 0
        whole = time.monotonic() - begun
    dice = random.Random(4)  # noqa: S311 (not for secrets)
    groups = []
    for number in range(20 if soak else len(aims)):
        # In the long form also a kernel that was not there before: afterwards it is not there, or works.
        new = soak and dice.random() < 0.3
        aim, machine = aims[number % len(aims)], dice.random() < 0.5
        arguments = ["1.15", "--name", f"new{number}"] if new else ["tf1"]
        # What follows the file takes milliseconds, and deleting the old environment some tenths of a second.
        later = dice.choice([0, 0.002, 0.01, 0.05, 0.2]) * dice.random()
        with started_to_be_killed(arguments, _AIMS.get(aim, ""), later, machine) as killed:
            if aim == "anywhere":
                with contextlib.suppress(subprocess.TimeoutExpired):
                    killed.wait(dice.uniform(0, whole))
                kill(killed, machine)
            assert killed.wait(DEADLINE) in (0, -signal.SIGKILL), killed.communicate()
        groups.append(killed.pid)
        there = {kernel.parent.name for kernel in registered(place)}
        print(f"{aim}{', with all it started' if machine else ''}: {killed.returncode}, {sorted(there)}")
        assert there >= {"tf1", "mine"}
        check_kernels(place)
        check_work(place, "tf1")

        mend = ["doctor", "tf1", "mine", "--fix"] if number % 2 else ["install", "tf1", "--user"]
        done = tfkernels(*mend)
        assert done.returncode == 0, done.stderr
        check_kernels(place)

    wait_for_ends(groups)
    new_ones = [path.name for path in (place / "jupyter" / "kernels").glob("new*")]
    for arguments in (["tf1", "--rebuild"], *(["1.15", "--name", name] for name in new_ones)):
        done = tfkernels("install", *arguments, "--user")
        assert done.returncode == 0, done.stderr
    assert len(built(place)) == len(registered(place)), "each kernel has the newest of its own"
    assert left(place) == [], "and what the killed ones left is gone"
    assert list((place / "jupyter" / "kernels").glob("*/.*")) == []
    check_work(place, "*")


_KILLED = """
import os, runpy, signal, sys, threading

file, seconds, machine, option, program = sys.argv[1:6]
del sys.argv[1:6]

def kill():
    os.kill(0 if machine else os.getpid(), signal.SIGKILL)

def watch(event, arguments):
    if event == "os.rename" and os.path.basename(arguments[1]) == file:
        threading.Timer(float(seconds), kill).start()

sys.addaudithook(watch)
if option == "-m":
    runpy.run_module(program, run_name="__main__")
else:
    exec(program)
"""
"""``tfkernels``, which kills itself, or its process group, so many seconds after a file gets a name."""


def started_to_be_killed(
    arguments: list[str], file: str, seconds: float, machine: bool
) -> AbstractContextManager[subprocess.Popen[str]]:
    python, *program = command("install", *arguments, "--user", "--rebuild")
    return ended(subprocess.Popen(
        [python, "-c", _KILLED, file, str(seconds), "all" if machine else "", *program], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    ))  # fmt: skip


def check_work(place: Path, pattern: str) -> None:
    """Each kernel in the picker of such a name runs a cell."""
    for kernel in (place / "jupyter" / "kernels").glob(f"{pattern}/kernel.json"):
        (outputs,) = run_cells(kernel.parent.name, "import tensorflow as tf; tf.Session().run(tf.constant(41) + 1)")
        assert text(outputs) == "42"


def wait_for_ends(groups: list[int]) -> None:
    """What killed commands had started may go on, and write."""

    def runs(group: int) -> bool:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, 0)
            return True
        return False

    eventually(lambda: not any(map(runs, groups)))


def test_eight_installs_at_once_do_the_work_once(place: Path, soak: bool) -> None:
    for _ in range(5 if soak else 1):
        with contextlib.ExitStack() as stack:
            names = ["tf1", "tf2"] if soak else ["tf1"]
            processes = [stack.enter_context(started(*names)) for _ in range(8)]
            outputs = [process.communicate(timeout=DEADLINE) for process in processes]
        assert [process.returncode for process in processes] == [0] * 8, outputs
        assert len(built(place)) == len(names)
        assert left(place) == []
        words = " ".join(out for out, _ in outputs)
        for name in names:
            assert words.count(f"{name}: installed.") == 1
        assert any("waiting for another tfkernels" in err for _, err in outputs)
        check_kernels(place)
        files = {path.name for path in (place / "jupyter" / "kernels" / "tf1").iterdir()}
        assert not {name for name in files if name.startswith(".")}, "no temporary file is left"
        for folder in ("home", "jupyter"):
            shutil.rmtree(place / folder)


def test_an_interrupt_stops_all_installs(place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # an index that never answers: nothing can be finished
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        silent.settimeout(DEADLINE)
        with started("tf1", "tf2", UV_DEFAULT_INDEX=address, UV_CACHE_DIR=str(place / "cache")) as process:
            connection, _ = silent.accept()
            with connection:
                process.send_signal(signal.SIGINT)  # for this one alone; a terminal would send it to its children, too
                out, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "tf1: interrupted, nothing changed" in err
    assert "tf2: interrupted, nothing changed" in err
    assert out == ""
    assert list((place / "home" / "environments").iterdir()) == []
    assert registered(place) == []


def test_an_interrupt_before_the_last_has_begun(light: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first runs already while the second is looked at, where the interrupt is raised."""
    begun = threading.Event()

    def beginning(order: InstallRequest, interpreter: Interpreter, folder: Path, report: Reporter) -> bool:
        begun.set()
        return eventually(subprocesses.check)  # until it is stopped

    def interrupted(request: InstallRequest) -> tuple[InstallRequest, Path, list[str]]:
        if request.name == "second":
            assert begun.wait(DEADLINE)
            raise KeyboardInterrupt
        return check(request)

    monkeypatch.setitem(BACKENDS, "uv", beginning)
    monkeypatch.setattr(install, "check", interrupted)
    orders = [InstallRequest("1.15", name=name, user=True) for name in ("first", "second", "third")]
    with pytest.raises(Interrupted) as caught:
        install.install_all(orders, lambda order, outcome: None)
    assert caught.value.requests == orders
    assert list((place / "home" / "environments").iterdir()) == []
    assert registered(place) == []


def test_one_that_fails_does_not_stop_the_others(place: Path) -> None:
    somebody_elses = place / "jupyter" / "kernels" / "tf2"
    somebody_elses.mkdir(parents=True)
    (somebody_elses / "kernel.json").write_text('{"argv": ["x"], "display_name": "mine", "language": "python"}')
    done = tfkernels("install", "tf2", "9.9", "tf1", "--user", UV_LINK_MODE="symlink")
    assert done.returncode == 1
    assert "tf2: Another program made the kernel 'tf2'" in done.stderr
    assert "tf9.9: There is no TensorFlow release" in done.stderr
    assert "tf1: installed." in done.stdout
    (record,) = built(place)
    links = [path for path in record.parent.glob("lib/python*/site-packages/*/*") if path.is_symlink()]
    assert links == [], "whatever the user prefers elsewhere: `uv cache clean` must not empty environments"


def test_two_orders_are_built_at_the_same_time(light: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each build waits for the other in its middle: one after the other they would never end."""
    both, real = threading.Barrier(2, timeout=DEADLINE), BACKENDS["uv"]

    def met(order: InstallRequest, interpreter: Interpreter, folder: Path, report: Reporter) -> bool:
        both.wait()
        fetched = real(order, interpreter, folder, report)
        both.wait()
        return fetched

    monkeypatch.setitem(BACKENDS, "uv", met)
    monkeypatch.setattr(install, "_processors", lambda: 2)
    outcomes: dict[str, Outcome] = {}
    orders = [InstallRequest("1.15", user=True), InstallRequest("1.15", name="more", user=True, extras=("tqdm",))]
    install.install_all(orders, lambda order, outcome: outcomes.update({order.kernel: outcome}))
    assert all(isinstance(outcome, Installed) and outcome.built for outcome in outcomes.values()), outcomes
    assert len(built(place)) == len(outcomes) == 2
    check_kernels(place)


def test_a_data_folder_on_another_disk_gets_copies(place: Path) -> None:
    (place / "home").mkdir()
    install_it = shlex.join(command("install", "tf1", "--user"))
    find_it = f"find {place}/home/environments -name '_multiarray_umath*.so' -links 1 | wc -l"
    done = in_a_mount(f"mount -t tmpfs -o size=2g none {place}/home && {install_it} && {find_it}")
    assert done.returncode == 0, done.stderr
    assert "tf1: copying" in done.stderr
    assert done.stdout.splitlines()[-1] != "0", "they are copies"


def test_a_data_folder_that_cannot_be_written(place: Path) -> None:
    (place / "home").mkdir()
    install_it = shlex.join(command("install", "tf1", "--user"))
    failed = in_a_mount(f"mount -t tmpfs -o ro none {place}/home && {install_it}")
    assert failed.returncode == 1
    assert "TFKERNELS_HOME" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert registered(place) == []
