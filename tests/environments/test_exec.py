"""``tfkernels exec``: the program is in the kernel's environment, and nothing stands between it and who started it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tests.support.commands import command, tfkernels
from tests.support.processes import ended
from tests.support.waiting import DEADLINE
from tfkernels.client import kernelspecs
from tfprovisioner.kernelspecs import run_env
from tfprovisioner.kernelspecs.install import Installed

pytestmark = pytest.mark.usefixtures("installed")

_FACTS = """
import json, os, sys, tensorflow, tfkernels
names = "VIRTUAL_ENV", "PYTHONHOME", "CONDA_PREFIX", "TF_FORCE_GPU_ALLOW_GROWTH", "TFKERNELS_KERNEL", "MINE"
print(json.dumps({
    "tensorflow": tensorflow.__version__, "prefix": sys.prefix, "path": sys.path, "tfkernels": tfkernels.__file__,
    "first": os.environ["PATH"].split(":")[0], **{name: os.environ.get(name) for name in names},
}))
"""


@pytest.mark.parametrize("name", ["tf1", "tf2"])
def test_exec_activates_the_environment_and_isolates_imports(name: str, installed: dict[str, Installed]) -> None:
    done = tfkernels(
        "exec", name, "--", "python", "-c", _FACTS,
        PYTHONPATH=str(Path(__file__).parent), VIRTUAL_ENV="/foreign", CONDA_PREFIX="/foreign", MINE="kept",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    made = installed[name].environment
    assert facts["tensorflow"] == made.recipe.tensorflow
    assert facts["prefix"] == facts["VIRTUAL_ENV"] == str(made.folder)
    assert facts["first"] == str(made.folder / "bin")
    assert facts["PYTHONHOME"] in (None, "")
    assert facts["CONDA_PREFIX"] is None
    assert facts["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
    assert facts["TFKERNELS_KERNEL"] == name
    assert facts["MINE"] == "kept"
    assert Path(facts["tfkernels"]).is_relative_to(run_env.ALONE.parent), "the installed code, and no copy of it"
    foreign = [path for path in facts["path"] if path and not path.startswith((made.base_python.rpartition("/bin/")[0],
               str(made.folder)))]  # fmt: skip
    assert foreign == [str(run_env.ALONE)]
    assert [path.name for path in run_env.ALONE.glob("*.py")] == ["tfkernels.py"]


def test_children_and_multiprocessing_can_import_tfkernels(tmp_path: Path) -> None:
    script = tmp_path / "pool.py"
    script.write_text(
        "import multiprocessing, subprocess, sys\n"
        "def where(_):\n    from tfkernels import recording\n    return recording.__name__\n"
        "if __name__ == '__main__':\n"
        "    print(multiprocessing.get_context('spawn').Pool(1).map(where, [1])[0], flush=True)\n"
        "    subprocess.check_call([sys.executable, '-c', 'import tfkernels; print(tfkernels.__name__)'])\n"
    )
    done = tfkernels("exec", "tf1", "python", str(script))
    assert (done.returncode, done.stdout) == (0, "tfkernels.recording\ntfkernels\n"), done.stderr


def test_exec_accepts_other_python_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    done = tfkernels("exec", "python3", "--", "python", "-c", "import sys, tfkernels; print(sys.prefix)")
    assert (done.returncode, done.stdout.strip()) == (0, sys.prefix), done.stderr
    code = "import os; print(os.environ['PYTHONPATH'].split(os.pathsep)[1:], os.environ['LD_LIBRARY_PATH'])"
    done = tfkernels("exec", "python3", "--", "python", "-c", code, PYTHONPATH="/mine", LD_LIBRARY_PATH="/lib")
    assert done.stdout == "['/mine'] /lib\n", "as in that kernel"


def test_exit_codes_and_signals_are_the_programs_own() -> None:
    assert tfkernels("exec", "tf1", "--", "python", "-c", "raise SystemExit(7)").returncode == 7
    code = "import os; os.kill(os.getpid(), 9)"
    assert tfkernels("exec", "tf1", "--", "python", "-c", code).returncode == -signal.SIGKILL


def test_it_becomes_the_program_and_reads_standard_input() -> None:
    code = "import os, sys; print(os.getpid(), sys.stdin.read().upper())"
    words = command("exec", "tf2", "--", "python", "-c", code)
    with ended(subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)) as process:
        output, _ = process.communicate("from a pipe", timeout=DEADLINE)
        assert output == f"{process.pid} FROM A PIPE\n"


def test_a_closed_pipe_ends_exec_quietly() -> None:
    arguments = subprocess.list2cmdline(command("exec", "tf1", "--", "yes"))
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{arguments} | head -1"], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("y\n", "", 128 + signal.SIGPIPE)


def test_the_program_owns_terminal_and_ctrl_c() -> None:
    code = (
        "import os, time\ntry: print(os.isatty(0), os.isatty(1), flush=True); time.sleep(1000)\n"
        "except KeyboardInterrupt: print('interrupted once', flush=True); raise SystemExit(3)"
    )
    ours, theirs = os.openpty()
    with subprocess.Popen(
        command("exec", "tf1", "--", "python", "-c", code), stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    ) as process, open(ours, "rb", buffering=0) as screen:  # fmt: skip
        os.close(theirs)
        try:
            assert _read_until(screen.fileno(), b"\r\n") == b"True True\r\n"
            os.write(screen.fileno(), b"\x03")
            assert b"interrupted once" in _read_until(screen.fileno(), b"once")
            assert process.wait(DEADLINE) == 3
        finally:
            process.kill()


def _read_until(descriptor: int, end: bytes) -> bytes:
    content = b""
    while end not in content:
        content += os.read(descriptor, 1000)
    return content


def test_exec_failures_have_shell_exit_codes(tmp_path: Path) -> None:
    missing = tfkernels("exec", "tf1", "--", "no-such-program")
    assert missing.returncode == 127
    assert "tfkernels exec tf1 -- pip install" in missing.stderr
    (tmp_path / "data").touch()
    assert tfkernels("exec", "tf1", "--", str(tmp_path / "data")).returncode == 126
    (tmp_path / "lost").write_text("#!/no/such/python\n")
    (tmp_path / "lost").chmod(0o700)
    lost = tfkernels("exec", "tf1", "--", str(tmp_path / "lost"))
    assert lost.returncode == 126
    assert "first line" in lost.stderr
    unknown = tfkernels("exec", "nope", "--", "python")
    assert unknown.returncode == 125
    assert "no kernel 'nope'" in unknown.stderr
    assert tfkernels("exec", "tf1").returncode == tfkernels("exec", "tf1", "--").returncode == 2


def test_a_broken_kernel_says_what_its_notebook_would(installed: dict[str, Installed], tmp_path: Path) -> None:
    folder = tmp_path / "jupyter" / "kernels" / "copied"
    shutil.copytree(installed["tf1"].kernelspec, folder)
    content = json.loads((folder / "kernel.json").read_text())
    content["metadata"]["tfkernels"]["environment"] = "/no/where"
    (folder / "kernel.json").write_text(json.dumps(content))
    done = tfkernels("exec", "copied", "--", "python", JUPYTER_PATH=str(tmp_path / "jupyter"))
    assert done.returncode == 125
    assert "/no/where is broken: it does not exist. Rebuild it with: tfkernels install tf1" in done.stderr


def test_a_kernel_that_a_wrapper_starts_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "jupyter" / "kernels" / "wrapped"
    folder.mkdir(parents=True)
    content = {"argv": ["conda", "run", "python"], "display_name": "wrapped", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(content))
    done = tfkernels("exec", "wrapped", "--", "python", JUPYTER_PATH=str(tmp_path / "jupyter"))
    assert done.returncode == 125
    assert "'conda', which is not a Python" in done.stderr


def test_the_kernelspecs_import_path_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = kernelspecs.get("tf1")
    changed = spec._replace(spec={**spec.spec, "env": {**spec.spec["env"], "PYTHONPATH": "/theirs"}})
    assert run_env.variables(changed)["PYTHONPATH"] == f"{run_env.ALONE}{os.pathsep}/theirs"
