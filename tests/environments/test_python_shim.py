"""The script that a kernel.json names is the environment's Python to whoever runs it, and none of its own making."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from jupyter_client.manager import start_new_kernel
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from tests.environments.test_existing import stub
from tests.support.commands import tfkernels
from tests.support.notebooks import run_cells, text
from tests.support.waiting import DEADLINE
from tfkernels.client import kernelspecs
from tfprovisioner.errors import BrokenEnvironment
from tfprovisioner.kernelspecs import doctor, health, install, listing, python_shim, run_env, write
from tfprovisioner.kernelspecs.install import Installed
from tfprovisioner.requirements.request import InstallRequest

ODD = """it's a "$HOME" & `id` $(id) \\ *"""


@pytest.fixture(params=["plain", ODD], ids=["plain", "odd"])
def added(request: pytest.FixtureRequest, place: Path, monkeypatch: pytest.MonkeyPatch) -> Installed:
    """A kernel of the user's own environment; the folders of both have such names."""
    jupyter = place / request.param / "jupyter"
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(jupyter))
    monkeypatch.setenv("JUPYTER_PATH", str(jupyter))
    theirs = stub(place / "work" / request.param)
    return install.add(theirs, "mine", user=True)


def said(command: list[str], variables: Mapping[str, str] = os.environ) -> str:
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    return done.stdout


def test_the_shim_behaves_like_its_python(added: Installed) -> None:
    script = kernelspecs.get("mine").spec["argv"][0]
    assert Path(script) == added.kernelspec / "python"
    python = str(added.environment.folder / "bin" / "python")
    words = ["a b", "", "it's", '"', "$HOME", "`id`", "\\n", "*", "-x", "two\nlines"]
    print_all = "import json, sys; print(json.dumps([sys.executable, sys.prefix, sys.argv[1:]]))"
    assert json.loads(said([script, "-c", print_all, *words])) == [python, str(added.environment.folder), words]
    assert subprocess.run([script, "-c", "raise SystemExit(42)"], check=False).returncode == 42
    assert subprocess.run([script], input="print(6 * 7)", capture_output=True, text=True, check=False).stdout == "42\n"


def test_the_shim_leaves_no_process_in_between(added: Installed) -> None:
    manager, client = start_new_kernel(startup_timeout=DEADLINE, kernel_name="mine")
    try:
        client.execute_interactive("import os, sys", timeout=DEADLINE)
        asked = {"pid": "os.getpid()", "python": "sys.executable"}
        reply = client.execute("", user_expressions=asked, silent=True, reply=True, timeout=DEADLINE)
        answers = reply["content"]["user_expressions"]
        told = {name: answers[name]["data"]["text/plain"] for name in asked}
        assert isinstance(manager.provisioner, LocalProvisioner)
        assert told["pid"] == str(manager.provisioner.pid)
        assert told["python"] == repr(str(added.environment.folder / "bin" / "python"))
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_the_shim_reports_a_missing_python(added: Installed) -> None:
    argv = kernelspecs.get("mine").spec["argv"]
    python = added.environment.folder / "bin" / "python"
    assert python_shim.behind(argv, write.described_in(added.kernelspec) or {}) == str(python)
    python.unlink()
    (outputs,) = run_cells("mine", "1 + 1", allow_errors=True)
    problem = outputs[0].evalue
    assert outputs[0].ename == "BrokenKernel"
    assert f"its Python {python} does not exist. After repairing the environment, run: tfkernels add " in problem
    assert "jupyter kernelspec remove mine" in problem
    for arguments in (["-c", "print(1)"], ["-m", "ipykernel"], [], ["start.py"], [argv[1]]):
        done = subprocess.run([argv[0], *arguments], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (127, "", f"{problem}\n")

    (row,) = listing.kernels()
    assert f"names the program {str(python)!r}, which does not exist" in row.state
    assert f"names the program {str(python)!r}, which does not exist" in (doctor.examine("mine").problem or "")
    with pytest.raises(BrokenEnvironment, match="which does not exist"):
        run_env.python(kernelspecs.get("mine"))


def test_programs_are_run_by_the_python_itself(added: Installed) -> None:
    assert run_env.python(kernelspecs.get("mine")) == str(added.environment.folder / "bin" / "python")
    assert doctor.examine("mine").ok


def test_the_explaining_python_gets_clean_variables(tmp_path: Path) -> None:
    start = tmp_path / "start.py"
    start.write_text("import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]))")
    script = tmp_path / "python"
    own = ["PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH", "MINE", "", "no name", "x;exit"]
    problem, command = "it's gone: $HOME", "tfkernels add 'x\ny'"
    script.write_text(python_shim.text("/no/where/python", str(start), sys.executable, own, problem, command))
    assert python_shim.made_by(script) == command
    script.chmod(0o755)
    foreign = dict.fromkeys(own[:4], "/no/where")
    variables = {**os.environ, **foreign, "TFKERNELS_KERNEL_JUPYTER": sys.executable, "KEPT": "a  b"}
    arguments, seen = json.loads(said([str(script), str(start), "launcher.py", "-f", "a b.json"], variables))
    assert arguments == ["-f", "a b.json"]
    assert seen["TFKERNELS_KERNEL_PROBLEM"] == "it's gone: $HOME"
    assert seen["KEPT"] == "a  b"
    assert not {*foreign, "TFKERNELS_KERNEL_JUPYTER"} & set(seen)


def test_kernel_json_decides_which_python_starts(place: Path) -> None:
    """Both are files: who is killed between them, or two who write at once, leave one of each."""
    for name in ("one", "other"):
        install.add(stub(place / name), name, user=True)
    one, other = (kernelspecs.get(name) for name in ("one", "other"))
    script = (other.folder / "python").read_text().replace(str(other.folder), str(one.folder))
    (one.folder / "python").write_text(script)
    assert text(run_cells("one", "import sys; print(sys.prefix)")[0]).strip() == str(place / "one")
    shutil.rmtree(place / "one")
    assert text(run_cells("one", "import sys; print(sys.prefix)")[0]).strip() == str(place / "other")


def test_registering_again_changes_nothing(light: str, place: Path) -> None:
    assert install.install(InstallRequest("1.15", user=True)).registered
    assert not install.install(InstallRequest("1.15", user=True)).registered


def test_a_kernel_runs_its_rebuilt_environment(light: str, place: Path) -> None:
    old = install.install(InstallRequest("1.15", user=True)).environment
    other = install.install(InstallRequest("1.15", name="mine", user=True)).environment
    new = install.install(InstallRequest("1.15", user=True, rebuild=True)).environment
    assert not old.folder.exists()
    for name, environment in (("tf1.15", new), ("mine", other)):
        spec = kernelspecs.get(name)
        assert Path(spec.spec["argv"][0]) == spec.folder / "python"
        assert said([spec.spec["argv"][0], "-c", "import sys; print(sys.prefix)"]).strip() == str(environment.folder)
        assert text(run_cells(name, "import sys; print(sys.executable)")[0]).strip() == str(environment.python)
        described = spec.spec["metadata"]["tfkernels"]
        assert health.look(spec.spec["argv"], described)[1] is None
    shutil.rmtree(other.folder)
    (outputs,) = run_cells("mine", "1", allow_errors=True)
    assert str(other.python) in outputs[0].evalue
    assert "tfkernels install 1.15 --name mine --user" in outputs[0].evalue, "its own command"


def test_kernel_json_names_python_on_noexec_mounts(light: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    access = os.access
    refused = place / "jupyter" / "kernels" / "tf1.15" / "python"
    with monkeypatch.context() as mounted:
        mounted.setattr(os, "access", lambda path, mode, **rest: path != refused and access(path, mode, **rest))
        made = install.install(InstallRequest("1.15", user=True))
        spec = kernelspecs.get("tf1.15").spec
        assert spec["argv"][0] == str(made.environment.python)
        assert python_shim.PYTHON not in spec["env"]
        assert not install.install(InstallRequest("1.15", user=True)).registered
        assert doctor.examine("tf1.15").ok
        assert text(run_cells("tf1.15", "1 + 1")[0]) == "2"
    assert install.install(InstallRequest("1.15", user=True)).registered, "when it can be, it is"
    assert kernelspecs.get("tf1.15").spec["argv"][0] == str(refused)


def test_kernels_of_earlier_registrations_are_updated(light: str, place: Path) -> None:
    made = install.install(InstallRequest("1.15", user=True))
    file = made.kernelspec / "kernel.json"
    content = json.loads(file.read_text())
    content["argv"][0] = str(made.environment.python)
    del content["env"][python_shim.PYTHON], content["metadata"]["tfkernels"][python_shim.INTERPRETER]
    file.write_text(json.dumps(content))
    (made.kernelspec / "python").unlink()
    assert doctor.examine("tf1.15").ok
    assert text(run_cells("tf1.15", "1 + 1")[0]) == "2"
    done = tfkernels("exec", "tf1.15", "--", "python", "-c", "import sys; print(sys.prefix)")
    assert done.stdout.strip() == str(made.environment.folder)
    install.install(InstallRequest("1.15", user=True))
    assert kernelspecs.get("tf1.15").spec["argv"][0] == str(made.kernelspec / "python")
    assert text(run_cells("tf1.15", "1 + 1")[0]) == "2"


def test_it_is_there_for_everybody_to_run(installed: dict[str, Installed]) -> None:
    for made in installed.values():
        script = made.kernelspec / "python"
        assert script.stat().st_mode & 0o777 == 0o755
        assert said(["/bin/sh", "-n", str(script)]) == ""
        assert shlex.quote(str(made.environment.python)) in script.read_text()
