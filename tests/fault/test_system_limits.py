"""At the limits of the system, with real kernels: no more files, room or memory. An error says so, and all goes on."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.support.waiting import eventually
from tfkernels.client.kernel import Kernel
from tfkernels.errors import ExchangeError, KernelStartError, RemoteError

HOG = """
import os, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
taken = []

def hog():
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass

def free(count):
    for _ in range(count):
        os.close(taken.pop())
"""


@pytest.mark.parametrize("name", ["tf1", "tf2"])
def test_a_kernel_without_descriptors_answers(installed: object, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Kernel(name) as kernel:
        # With history, a thread of IPython's opens and closes files when it likes, and would leave a descriptor free.
        run = functools.partial(kernel.run, store_history=False)
        run(HOG + "hog()", inputs={"x": np.ones(10**6)})
        run("hog(); print('first words')")  # for which a thread of ipykernel would open a socket
        run("hog(); print('y' * 10**6)")  # a large message, for which pyzmq would open another one
        out = capsys.readouterr().out
        assert "first words" in out
        assert "y" * 1000 in out
        with pytest.raises(RemoteError, match="ZeroDivisionError"):
            run("hog(); 1/0")
        with pytest.raises(ExchangeError, match=f"kernel {name} has too many files open"):
            run("hog()", outputs={"y": "x"})
        run("free(len(taken))")
        assert kernel["x"].sum() == 10**6


HERE = f"""
import threading
import numpy as np, tfkernels
from tfkernels.errors import ExchangeError, KernelStartError
{HOG}
tf1, tf2 = tfkernels.kernel("tf1"), tfkernels.kernel("tf2")
tf1["x"] = np.ones(10**6)
threads = threading.active_count()
for count in (1, 5, 9, 20):  # with 5, libzmq would end this process
    hog()
    free(count)
    try:
        tf2.run("pass")
    except KernelStartError as error:
        print("no kernel:", error)
hog()
assert tf1.run("pass") == {{}}
for exchange in (lambda: tf1["x"], lambda: tf1.run("", inputs={{"x": 1}})):
    hog()
    try:
        exchange()
    except ExchangeError as error:
        print("no exchange:", error)
try:
    tfkernels.kernel("tf3")
except tfkernels.errors.UnknownKernel as error:
    print("no name:", error)
free(len(taken))
assert tf2["1 + 1"] == 2 and tf1["x"].sum() == 10**6
print("done")
"""


def test_a_process_without_descriptors_survives(installed: object) -> None:
    done = subprocess.run([sys.executable, "-c", HERE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["no kernel"] * 4 + ["no exchange"] * 2 + ["no name", "done"]
    assert all("too many files open" in line for line in lines[:-1])


def test_without_a_thread_for_it_a_kernel_is_ended(installed: object) -> None:
    before = set(psutil.Process().children())
    threading.stack_size(2**47)  # more than there are addresses
    try:
        with pytest.raises(
            KernelStartError, match=r"Kernel tf1 cannot start: can't start new thread\. Free that resource"
        ):
            Kernel("tf1").run("pass")
    finally:
        threading.stack_size(0)
    assert set(psutil.Process().children()) <= before


FULL = """
import numpy as np, tfkernels
from tfkernels.transfer.shared_memory import segment as segments
from tfkernels.errors import ExchangeError
segments._anonymous_file = lambda: None  # as where there is none: files in TMPDIR, which is small and nearly full here
tf2 = tfkernels.kernel("tf2")
assert tf2.run("import numpy as np; y = x + 1", inputs={"x": np.ones(1000)}, outputs={"y": "y"})["y"][-1] == 2
for exchange in (
    lambda: tf2.run("", inputs={"x": np.ones(10**7)}),
    lambda: tf2.run("z = np.ones(10**7)", outputs={"z": "z"}),
):
    try:
        exchange()
    except ExchangeError as error:
        print(error)
assert tf2["y.sum(), z.sum()"] == (2000, 10**7)
print("done")
"""


def test_a_full_file_system_is_reported(installed: object, tmp_path: Path) -> None:
    unshared = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    if subprocess.run([*unshared, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system lets nobody mount a small file system to fill")
    script = f'mount -t tmpfs -o size=2m none {tmp_path} && TMPDIR={tmp_path} "$0" -c "$1"; code=$?; ls -A {tmp_path}'
    done = subprocess.run(
        [*unshared, "sh", "-c", script + "; exit $code", sys.executable, FULL],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    sent, received, *rest = done.stdout.splitlines()
    assert "no room" in sent
    assert "No space left" in sent
    assert "no room" in received
    assert rest == ["done"], "and ls found nothing"


GROUPED = """
import os, sys
open(os.path.join(sys.argv[1], "cgroup.procs"), "w").write(str(os.getpid()))
import numpy as np, tfkernels
from tfkernels.errors import ExchangeError
tf2 = tfkernels.kernel("tf2")
tf2["x"] = np.ones(10**6)
for exchange in (  # zeros that nobody has written take no memory
    lambda: tf2.run("", inputs={"x": np.zeros(10**8)}),
    lambda: tf2.run("import numpy as np; y = np.zeros(10**8)", outputs={"y": "y"}),
):
    try:
        exchange()
    except (ExchangeError, MemoryError) as error:
        print(error)
assert tf2["x.sum()"] == 10**6
print("done")
"""
CONTROLLERS = [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")]
"""Where groups are made whose memory is limited, and by which file: of the first version and of the second."""


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group whose processes may use 600 MiB of memory together."""
    reasons = []
    for root, limit in CONTROLLERS:
        with contextlib.ExitStack() as stack:
            try:
                made = stack.enter_context(a_group(Path(root), limit))
                (made / limit).write_text(str(600 * 2**20))
            except OSError as error:
                reasons.append(f"{error.filename}: {error.strerror}")
                continue
            yield made
            return
    pytest.skip(f"this system lets nobody limit the memory of a group of processes ({'; '.join(reasons)})")


@contextlib.contextmanager
def a_group(root: Path, limit: str) -> Iterator[Path]:
    made = root / f"tfkernels-test-{os.getpid()}"
    with accounted(root / "cgroup.subtree_control" if limit == "memory.max" else None):
        made.mkdir()
        try:
            yield made
        finally:
            eventually(lambda: removed(made))


@contextlib.contextmanager
def accounted(control: Path | None) -> Iterator[None]:
    """The second version counts the memory of groups only where that is switched on, as systemd does."""
    switched = control is not None and "memory" not in control.read_text().split()
    if control is not None and switched:
        control.write_text("+memory")
    try:
        yield
    finally:
        if control is not None and switched:
            control.write_text("-memory")


def removed(group: Path) -> bool:
    """The last process may be on its way out."""
    with contextlib.suppress(OSError):
        group.rmdir()
    return not group.exists()


def test_container_memory_limits_are_respected(installed: object, group: Path) -> None:
    done = subprocess.run([sys.executable, "-c", GROUPED, str(group)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *refused, last = done.stdout.splitlines()
    assert ["not enough memory is free" in line for line in refused] == [True, True]
    assert last == "done"
