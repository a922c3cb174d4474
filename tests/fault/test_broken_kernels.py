"""A kernel that cannot start says so in the notebook, whatever is gone: the environment, or tfkernels itself."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel
from nbclient.exceptions import CellExecutionError
from uv import find_uv_bin

from tests.support.notebooks import run_cells, text
from tests.support.user_files import LOADED, imported, spoil
from tests.support.waiting import DEADLINE
from tfkernels import launcher, start_or_explain
from tfkernels.client import kernelspecs
from tfkernels.client.kernel import Kernel
from tfkernels.errors import KernelStartError, RemoteError
from tfprovisioner.errors import BrokenEnvironment
from tfprovisioner.kernelspecs import doctor, install, listing, run_env
from tfprovisioner.kernelspecs.install import Installed
from tfprovisioner.requirements.request import InstallRequest


@pytest.fixture
def copied(installed: dict[str, Installed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kernel tf1 once more, as ``copied``, in a Jupyter of its own."""
    folder = tmp_path / "jupyter" / "kernels" / "copied"
    shutil.copytree(installed["tf1"].kernelspec, folder)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    return folder


def change(folder: Path, **described: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "kernel.json").read_text())
    before = json.dumps(content)
    content["metadata"]["tfkernels"].update(described)
    (folder / "kernel.json").write_text(json.dumps(content))
    unchanged: dict[str, Any] = json.loads(before)
    return unchanged


def test_cells_of_broken_kernels_name_the_fix(copied: Path) -> None:
    change(copied, environment="/no/where", command="tfkernels install tf1")
    cells = run_cells("copied", "import tensorflow", "1 + 1", allow_errors=True)
    for (error,) in cells:
        assert error.output_type == "error"
        assert error.ename == "BrokenKernel"
        assert "/no/where is broken: it does not exist" in error.evalue
        assert "tfkernels install tf1" in error.evalue
    with pytest.raises(CellExecutionError, match="tfkernels install tf1"):
        run_cells("copied", "1 + 1")


@pytest.mark.parametrize("broken", ["environment", "launcher"])
def test_user_files_do_not_stop_the_explanation(
    broken: str, copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if broken == "environment":
        change(copied, environment="/no/where")
    else:
        uninstall(copied)
    ((loaded,),) = run_cells("python3", f"print({LOADED})")
    (tmp_path / "notebooks").mkdir()
    log = spoil(tmp_path / "notebooks", ast.literal_eval(loaded.text))
    monkeypatch.chdir(tmp_path / "notebooks")
    explanation("copied")
    assert not imported(log)


def test_a_restart_after_mending_is_enough(copied: Path) -> None:
    whole = change(copied, environment="/no/where")
    manager, client = start_new_kernel(startup_timeout=DEADLINE, kernel_name="copied")
    try:
        assert "/no/where" in client.kernel_info(reply=True, timeout=DEADLINE)["content"]["banner"], (
            "consoles show it at once"
        )
        (copied / "kernel.json").write_text(json.dumps(whole))
        manager.restart_kernel()
        client.wait_for_ready(timeout=DEADLINE)
        reply = client.execute_interactive("import tensorflow", timeout=DEADLINE, output_hook=lambda message: None)
        assert reply["content"]["status"] == "ok"

        change(copied, environment="/no/where")
        manager.restart_kernel()
        client.wait_for_ready(timeout=DEADLINE)
        reply = client.execute_interactive("1", timeout=DEADLINE, output_hook=lambda message: None)
        assert reply["content"]["ename"] == "BrokenKernel", "and a kernel that breaks tells it at its next restart"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_a_kernel_json_with_a_missing_program(copied: Path) -> None:
    content = json.loads((copied / "kernel.json").read_text())
    content["argv"][0] = "/no/where/python"
    (copied / "kernel.json").write_text(json.dumps(content))
    with pytest.raises(CellExecutionError, match="/no/where/python"):
        run_cells("copied", "1")


def explanation(kernel: str) -> str:
    """What a cell of a broken kernel says."""
    (outputs,) = run_cells(kernel, "1 + 1", allow_errors=True)
    (error,) = outputs
    assert error.ename == "BrokenKernel"
    return str(error.evalue)


def the_folder_deleted(made: Installed) -> str:
    shutil.rmtree(made.environment.folder)
    return "it does not exist"


def the_base_removed(made: Installed) -> str:
    made.environment.python.unlink()
    made.environment.python.symlink_to("/no/where/bin/python3.7")
    return f"the Python {made.environment.base_python} that it was made from is gone"


def damaged(damage: Callable[[Installed], str], command: str) -> tuple[Installed, str, str]:
    """A kernel that was installed and damaged: itself, what is the matter, and what its cells say. They and those of
    ``%%tf1.15`` name the command that mends it."""
    made = install.install(InstallRequest("1.15", user=True))
    reason = damage(made)
    said = explanation("tf1.15")
    assert f"Rebuild it with: {command};" in said
    with Kernel("tf1.15") as other, pytest.raises(RemoteError, match=re.escape(command)):
        other.run("1 + 1")
    return made, reason, said


@pytest.mark.parametrize("lose", [the_folder_deleted, the_base_removed])
def test_plain_clients_learn_that_python_is_missing(lose: Callable[[Installed], str], light: str, place: Path) -> None:
    """A kernel of ``--user`` has none: a Jupyter without tfkernels would not show it."""
    made, reason, said = damaged(lose, "tfkernels install 1.15 --user")
    assert said == (
        f"The kernel TensorFlow 1.15 · Python 3.7 cannot start: its Python {made.environment.python} does not exist. "
        f"Rebuild it with: tfkernels install 1.15 --user; then restart the kernel. Or delete the kernel with: "
        f"jupyter kernelspec remove tf1.15"
    )
    diagnosis = doctor.examine("tf1.15")
    assert f"{made.environment.folder} is broken: {reason}" in (diagnosis.problem or "")
    assert diagnosis.remedy == "tfkernels install 1.15 --user"
    (row,) = listing.kernels()
    assert reason in row.state
    with pytest.raises(BrokenEnvironment, match=r"tfkernels install 1\.15 --user"):
        run_env.python(kernelspecs.get("tf1.15"))
    install.install(InstallRequest("1.15", user=True))
    assert text(run_cells("tf1.15", "1 + 1")[0]) == "2"


def test_plain_clients_recover_by_restarting(light: str, place: Path) -> None:
    made = install.install(InstallRequest("1.15", user=True))
    shutil.rmtree(made.environment.folder)
    manager, client = start_new_kernel(startup_timeout=DEADLINE, kernel_name="tf1.15")
    try:
        assert "tfkernels install 1.15 --user" in client.kernel_info(reply=True, timeout=DEADLINE)["content"]["banner"]
        install.install(InstallRequest("1.15", user=True))
        manager.restart_kernel()
        client.wait_for_ready(timeout=DEADLINE)
        reply = client.execute_interactive("import tensorflow", timeout=DEADLINE, output_hook=lambda message: None)
        assert reply["content"]["status"] == "ok", "though it goes on with the kernel.json that it read before"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_the_log_reports_two_missing_pythons(light: str, place: Path) -> None:
    made = install.install(InstallRequest("1.15", user=True))
    script = made.kernelspec / "python"
    script.write_text(script.read_text().replace(shlex.quote(sys.executable), "/no/where/python"))
    shutil.rmtree(made.environment.folder)
    command = kernelspecs.get("tf1.15").command("none.json")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 127
    assert "tfkernels install 1.15 --user" in done.stderr
    with pytest.raises(KernelStartError, match=r"tfkernels install 1\.15 --user"):
        Kernel("tf1.15").run("1")


def test_a_missing_kernel_script_is_fixed(light: str, place: Path) -> None:
    made = install.install(InstallRequest("1.15", user=True))
    (made.kernelspec / "python").unlink()
    diagnosis = doctor.examine("tf1.15")
    assert f"{str(made.kernelspec / 'python')!r}, which does not exist" in (diagnosis.problem or "")
    assert install.install(InstallRequest("1.15", user=True)).registered
    assert doctor.examine("tf1.15").ok


def uninstall(copied: Path, provisioner: bool = False) -> Path:
    """As after ``pip uninstall tfkernels``: no launcher, and mostly no provisioner that could say so."""
    content = json.loads((copied / "kernel.json").read_text())
    content["argv"][2] = "/no/where/lib/python3.12/site-packages/tfkernels/launcher.py"
    if not provisioner:
        del content["metadata"]["kernel_provisioner"]
    (copied / "kernel.json").write_text(json.dumps(content))
    return copied


@pytest.fixture
def uninstalled(copied: Path) -> Path:
    return uninstall(copied)


@pytest.mark.parametrize("server", ["new", "running"])
def test_a_kernel_that_outlives_tfkernels_explains_itself(
    server: str, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that runs since before the uninstallation has the provisioner in memory, and none of its files."""
    uninstall(copied, provisioner=server == "running")
    monkeypatch.setattr(start_or_explain, "__file__", "/no/where/lib/python3.12/site-packages/tfkernels/gone.py")
    (outputs,) = run_cells("copied", "1 + 1", allow_errors=True)
    (error,) = outputs
    assert error.ename == "BrokenKernel"
    assert "/no/where/lib/python3.12/site-packages/tfkernels, and that folder is gone" in error.evalue
    assert "pip install tfkernels" in error.evalue
    assert "tfkernels install tf1" in error.evalue
    with Kernel("copied") as other, pytest.raises(RemoteError, match="pip install tfkernels"):
        other.run("1 + 1")


def test_an_uninstallation_during_the_start_is_no_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "__file__", "/no/where/tfkernels/launcher.py")
    said = launcher._broken(ImportError("cannot import name 'env_vars' from 'tfkernels'"))
    assert "/no/where/tfkernels, and that folder is gone. Run: pip install tfkernels, and: tfkernels install" in said


def test_the_explaining_python_gets_the_clients_variables(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nenv")
    python.chmod(0o700)
    client = {
        "TFKERNELS_KERNEL_MISSING": '{"LD_LIBRARY_PATH": "/opt/its/lib"}',
        "TFKERNELS_KERNEL_JUPYTER": str(python),
    }
    code = "from tfkernels import start_or_explain; start_or_explain.explain_elsewhere('broken')"
    shown = subprocess.run([sys.executable, "-c", code], env={**os.environ, **client}, capture_output=True, text=True)
    assert {"LD_LIBRARY_PATH=/opt/its/lib", "TFKERNELS_KERNEL_PROBLEM=broken"} <= set(shown.stdout.splitlines())


def test_a_missing_ipykernel_is_logged(tmp_path: Path) -> None:
    venv.create(tmp_path / "bare", with_pip=False)
    folder = Path(launcher.__file__).parent
    python = tmp_path / "bare" / "bin" / "python"
    command = [str(python), str(folder / "start_or_explain.py"), str(folder / "launcher.py"), "-f", "none.json"]
    own = {"TFKERNELS_KERNEL": "tf1", "TFKERNELS_KERNEL_COMMAND": "tfkernels install tf1"}
    variables = {**os.environ, **own, "TFKERNELS_KERNEL_JUPYTER": "/no/where/python"}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"The kernel tf1 cannot start: its environment {tmp_path / 'bare'} is damaged: ")
    assert "ModuleNotFoundError: No module named " in done.stderr
    assert "Rebuild it with: tfkernels install tf1 --rebuild" in done.stderr
    assert "Traceback" not in done.stderr


def an_older_traitlets(made: Installed) -> str:
    pip = [find_uv_bin(), "pip", "install", "--quiet", "--no-deps", "--python", str(made.environment.python)]
    subprocess.run([*pip, "traitlets==4.3.3"], check=True)
    return "ImportError"


def half_of_zmq(made: Installed) -> str:
    (library,) = made.environment.folder.glob("lib/python*/site-packages/zmq/backend/cython/_zmq*.so")
    replace(library, "")
    return "ImportError"


def a_tornado_that_raises_something(made: Installed) -> str:
    (module,) = made.environment.folder.glob("lib/python*/site-packages/tornado/ioloop.py")
    replace(module, "raise RuntimeError('half an upgrade')")
    return "RuntimeError: half an upgrade"


def a_tornado_that_fails_at_the_start_only(made: Installed) -> str:
    """As tornado 4 does, which is imported without complaint."""
    (module,) = made.environment.folder.glob("lib/python*/site-packages/tornado/platform/asyncio.py")
    replace(module, module.read_text() + "\nBaseAsyncIOLoop.asyncio_loop = property()\n")
    return "AttributeError: can't set attribute"


def replace(file: Path, content: str) -> None:
    file.unlink()  # else the one in uv's cache is changed, and in all environments of this machine
    file.write_text(content)


@pytest.mark.parametrize(
    "damage",
    [
        an_older_traitlets,
        a_tornado_that_fails_at_the_start_only,
        pytest.param(half_of_zmq, marks=pytest.mark.slow),
        pytest.param(a_tornado_that_raises_something, marks=pytest.mark.slow),
    ],
)
def test_damaged_packages_are_reported_in_cells(damage: Callable[[Installed], str], light: str, place: Path) -> None:
    """By another Python, the one that registered it; this kernel has no provisioner that could look before."""
    made, reason, said = damaged(damage, "tfkernels install 1.15 --user --rebuild")
    assert f"its environment {made.environment.folder} is damaged" in said
    assert reason in said

    install.install(InstallRequest("1.15", user=True, rebuild=True))
    assert text(run_cells("tf1.15", "1 + 1")[0]) == "2", "and that command mends it"


def test_tfkernels_is_found_after_a_python_upgrade(uninstalled: Path, tmp_path: Path) -> None:
    moved = tmp_path / "lib" / "python3.13" / "site-packages"
    moved.mkdir(parents=True)
    shutil.copytree(Path(launcher.__file__).parent, moved / "tfkernels")
    content = json.loads((uninstalled / "kernel.json").read_text())
    content["argv"][2] = str(tmp_path / "lib" / "python3.12" / "site-packages" / "tfkernels" / "launcher.py")
    (uninstalled / "kernel.json").write_text(json.dumps(content))
    (outputs,) = run_cells("copied", "import sys, tfkernels; print(tfkernels.__file__, sys.argv[0])")
    assert text(outputs).split() == [str(moved / "tfkernels" / name) for name in ("__init__.py", "launcher.py")]
