"""Kernels of environments that users have already. Most of these have a stub of TensorFlow; one has the real one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from uv import find_uv_bin

from tests.support.commands import tfkernels
from tests.support.notebooks import run_cells, text
from tests.support.waiting import DEADLINE
from tfprovisioner.errors import BadKernelName, UnknownEnvironment
from tfprovisioner.existing import inspect, kinds
from tfprovisioner.existing import search as candidates
from tfprovisioner.kernelspecs import doctor, install, listing
from tfprovisioner.kernelspecs.install import Installed

STUB = """
import numpy
__version__ = "2.11.0"
constant = numpy.asarray
matmul = numpy.matmul
"""


def site(folder: Path) -> Path:
    return next(folder.glob("lib/python*/site-packages"))


def stub(folder: Path, *, ipykernel: bool = True) -> Path:
    """A virtual environment of this Python with a TensorFlow that knows one op, and, by a link, NumPy and ipykernel."""
    venv.create(folder, with_pip=False)
    package = site(folder) / "tensorflow"
    package.mkdir()
    (package / "__init__.py").write_text(STUB)
    (site(folder) / "tensorflow-2.11.0.dist-info").mkdir()
    if ipykernel:
        (site(folder) / "link.pth").write_text(sysconfig.get_path("purelib"))
    return folder


@pytest.fixture
def theirs(place: Path) -> Path:
    return stub(place / "work" / "my project" / ".venv")


def files(folder: Path) -> dict[str, tuple[int, int]]:
    found = [path for path in folder.rglob("*") if not path.is_symlink()]
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in found}


def test_add_and_remove_leave_the_environment_untouched(theirs: Path) -> None:
    before = files(theirs)
    added = install.add(theirs.parent, user=True)  # the project: its .venv is meant
    assert added.name == "tf2.11"
    spec = json.loads((added.kernelspec / "kernel.json").read_text())
    assert spec["argv"][0] == str(added.kernelspec / "python")
    assert spec["metadata"]["tfkernels"]["interpreter"] == str(theirs / "bin" / "python")
    assert spec["display_name"] == f"TensorFlow 2.11 · Python {sys.version_info[0]}.{sys.version_info[1]}"
    described = spec["metadata"]["tfkernels"]
    assert described["backend"] == "existing"
    assert described["command"] == f"tfkernels add '{theirs}' --name tf2.11 --user"
    assert install.add(theirs / "bin" / "python", user=True).registered is False, "the same by its python, once"

    assert tfkernels("doctor", "tf2.11").returncode == 0
    (row,) = [row for row in json.loads(tfkernels("list", "--json").stdout) if row["name"] == "tf2.11"]
    assert (row["backend"], row["state"], row["size"]) == ("existing", "ok", None)

    done = tfkernels("remove", "tf2.11")
    assert f"tf2.11: {theirs} is yours and is not changed" in done.stdout
    assert not added.kernelspec.exists()
    assert files(theirs) == before


def test_notebooks_explain_a_broken_added_kernel(theirs: Path) -> None:
    install.add(theirs, user=True)
    (site(theirs) / "tornado.py").write_text("raise RuntimeError('of another project')")
    (outputs,) = run_cells("tf2.11", "1", allow_errors=True)
    assert "RuntimeError: of another project" in outputs[0].evalue
    assert f"Repair it, for example with: '{theirs}/bin/python' -m pip install" in outputs[0].evalue


def test_upgrades_and_losses_in_it_are_told(theirs: Path) -> None:
    install.add(theirs, "mine", user=True)
    (site(theirs) / "tensorflow" / "__init__.py").write_text(STUB.replace("2.11.0", "2.12.1"))
    diagnosis = doctor.examine("mine")
    assert diagnosis.ok
    assert diagnosis.warnings == ("TensorFlow is 2.12.1 now, it was 2.11.0",)
    mended = doctor.fix(diagnosis)
    assert (mended.mended, mended.warnings, mended.remedy) == (diagnosis.remedy, (), None)
    assert [row.tensorflow for row in listing.kernels()] == ["2.12.1"]

    for name in ("tensorflow", "tensorflow_cpu"):
        (info := site(theirs) / f"{name}-2.11.0.dist-info").mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.11.0\n")
    (told,) = doctor.examine("mine").warnings
    assert told.startswith(
        "tensorflow 2.11.0 and tensorflow-cpu 2.11.0 are both installed and overwrite each other's files"
    )
    assert "Uninstall both there" in told

    shutil.rmtree(site(theirs) / "tensorflow")
    assert "TensorFlow was removed from" in (doctor.examine("mine").problem or "")
    shutil.rmtree(theirs)
    assert "does not exist" in (doctor.examine("mine").problem or "")
    assert install.remove("mine")[0].environment is None


def test_packages_outside_the_catalogues_bounds_are_problems(theirs: Path) -> None:
    command = kinds.installing(inspect.find(theirs), ["setuptools<81"])
    (site(theirs) / "setuptools-82.0.0.dist-info").mkdir()
    sentence = (
        "setuptools is 82.0.0, and TensorBoard's program beside TensorFlow 2.11.0 needs setuptools<81: "
        "82 has no pkg_resources any more"
    )
    added = tfkernels("add", str(theirs), "--user")
    assert f"tf2.11: warning: {sentence}" in added.stderr
    assert added.stderr.rstrip().endswith(f"Fix it with: {command}")
    done = tfkernels("doctor", "tf2.11", "--fix")
    assert done.returncode == 0, "TensorFlow works"
    assert f"tf2.11: warning: {sentence}. Fix it with: {command}" in done.stdout
    assert "running:" not in done.stderr, "the environment is the user's"

    (site(theirs) / "numpy-2.1.0.dist-info").mkdir()
    assert "numpy<2" not in (doctor.examine("tf2.11").problem or ""), "it is imported all the same"
    (site(theirs) / "tensorflow" / "__init__.py").write_text("raise ImportError('numpy.core')")
    sick = doctor.examine("tf2.11")
    assert "numpy is 2.1.0, and TensorFlow 2.11.0 needs numpy<2" in (sick.problem or "")
    assert sick.remedy == kinds.installing(inspect.find(theirs), ["numpy<2"])
    with pytest.raises(UnknownEnvironment, match=r"(?s)numpy.*numpy<2.*Fix it with: .*uv pip .*Or let tfkernels"):
        install.add(theirs, user=True)


def test_deep_examinations_try_models(theirs: Path) -> None:
    install.add(theirs, user=True)
    assert doctor.examine("tf2.11").ok
    sick = doctor.examine("tf2.11", deep=True)
    assert "lstm fails: AttributeError: module 'tensorflow' has no attribute" in (sick.problem or "")
    assert sick.remedy is None


def test_kernels_of_other_programs_are_left_alone(place: Path) -> None:
    for command in ("doctor", "remove"):
        done = tfkernels(command, "python3")
        assert done.returncode == 1
        assert "tfkernels did not make the kernel 'python3'" in done.stderr


def test_names_are_free_and_nobody_elses(theirs: Path, place: Path) -> None:
    assert install.add(theirs, user=True).name == "tf2.11"
    other = stub(place / "work" / "Other Thing")
    assert install.add(other, user=True).name == "tf2.11-other-thing"
    with pytest.raises(BadKernelName, match="made by: tfkernels add"):
        install.add(other, "tf2.11", user=True)
    names = {row.display_name for row in listing.kernels()}
    assert len(names) == 2, "and two tiles that tell apart"


def test_ipykernel_is_missing(place: Path) -> None:
    folder = stub(place / "bare", ipykernel=False)
    with pytest.raises(
        UnknownEnvironment, match=r"needs ipykernel.*uv pip install --python .*bare/bin/python ipykernel"
    ):
        install.add(folder)
    # A link for the program that would install it: what counts is that exactly the named command runs.
    programs = place / "programs"
    programs.mkdir()
    (programs / "uv").write_text(
        f"#!/bin/sh\necho \"$@\"\necho '{sysconfig.get_path('purelib')}' > '{site(folder)}/link.pth'\n"
    )
    (programs / "uv").chmod(0o755)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    done = tfkernels("add", str(folder), "--user", "--install-ipykernel", PATH=path)
    assert done.returncode == 0, done.stderr
    assert f"pip install --python {folder}/bin/python ipykernel" in done.stderr
    assert "tf2.11: added" in done.stdout


def test_conda_is_not_left_waiting_for_an_answer(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = stub(place / "conda env", ipykernel=False)
    (folder / "conda-meta").mkdir()
    (folder / "conda-meta" / "history").touch()
    for name in ("CONDA_EXE", "MAMBA_EXE"):
        monkeypatch.delenv(name, raising=False)
    programs = place / "programs"
    programs.mkdir()
    # As conda itself, it asks; and nobody is there to answer.
    (programs / "conda").write_text(
        '#!/bin/sh\ncase "$*" in *--yes*) echo "$@"; exit 3;; esac\nread answer || exit 9\n'
    )
    (programs / "conda").chmod(0o755)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    done = tfkernels("add", str(folder), "--user", "--install-ipykernel", PATH=path)
    assert f"install --prefix {folder} --yes ipykernel" in done.stderr
    assert "failed with exit code 3" in done.stderr


def test_what_is_no_environment_gets_an_answer(place: Path) -> None:
    (place / "empty").mkdir()
    (place / "script").write_text("#!/bin/sh\necho no\nexit 3\n")
    (place / "script").chmod(0o755)
    without = place / "without"
    venv.create(without, with_pip=False)
    broken = stub(place / "broken")
    (site(broken) / "tensorflow" / "__init__.py").write_text("raise ImportError('protobuf is too new')")
    several = place / "several"
    for name in (".venv", "env"):
        venv.create(several / name, with_pip=False)
    cases = {
        place / "nowhere": "There is no .*nowhere",
        place / "empty": "no Python environment",
        place / "script": "is not a Python that works",
        without: r"no TensorFlow in .*uv pip install .*tensorflow\. Or let tfkernels build",
        broken: "does not work.*protobuf is too new",
        several: "several environments",
    }
    for path, expected in cases.items():
        with pytest.raises(UnknownEnvironment, match=f"(?s){expected}"):
            install.add(path, user=True)
    assert not (place / "jupyter" / "kernels").exists()


def test_our_own_environments_are_refused(installed: dict[str, Installed]) -> None:
    with pytest.raises(UnknownEnvironment, match=r"tfkernels made.*install RELEASE --name"):
        install.add(installed["tf1"].environment.folder)


def test_find_lists_what_has_tensorflow(theirs: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_EXE", "MAMBA_EXE", "MAMBA_ROOT_PREFIX", "PYENV_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(place / "somebody"))
    monkeypatch.setenv("WORKON_HOME", str(place / "workon"))
    stub(place / "workon" / "old", ipykernel=False)
    conda = place / "conda" / "envs" / "paper"
    stub(conda)
    (conda / "pyvenv.cfg").unlink()
    (conda / "conda-meta").mkdir()
    (conda / "conda-meta" / "history").touch()
    (conda / "conda-meta" / "python-3.7.12-h1_0.json").touch()
    (place / "somebody" / ".conda").mkdir(parents=True)
    (place / "somebody" / ".conda" / "environments.txt").write_text(f"{conda}\n/gone\n")
    venv.create(place / "work" / "plain", with_pip=False)
    install.add(theirs, "mine", user=True)

    monkeypatch.setattr(candidates, "TIME_LIMIT", DEADLINE)
    found, complete = candidates.search(place / "work")
    assert complete
    facts = {Path(one.path): (one.kind, one.tensorflow, one.ipykernel is not None, one.kernel) for one in found}
    assert facts[theirs] == ("venv", "2.11.0", False, "mine"), "its ipykernel is elsewhere: files do not tell"
    assert facts[conda] == ("conda", "2.11.0", False, None)
    assert facts[place / "workon" / "old"] == ("venv", "2.11.0", False, None)
    assert place / "work" / "plain" not in facts
    assert next(one.python for one in found if one.path == str(conda)) == "3.7.12"
    monkeypatch.setattr(candidates, "TIME_LIMIT", -1.0)
    assert candidates.search(place / "work") == ([], False)


@pytest.mark.parametrize(
    ("tool", "arguments", "command"),
    [
        ("uv", [find_uv_bin(), "venv", "--quiet", "--python", sys.executable], "{uv} pip install --python {python}"),
        ("virtualenv", [sys.executable, "-m", "virtualenv", "--quiet", "--no-download"], "{python} -m pip install"),
    ],
)
def test_environments_of_the_tools_themselves(place: Path, tool: str, arguments: list[str], command: str) -> None:
    folder = place / "made"
    subprocess.run([*arguments, str(folder)], check=True)
    assert kinds.kind(folder) == tool
    package = site(folder) / "tensorflow"
    package.mkdir()
    (package / "__init__.py").write_text(STUB)
    (site(folder) / "tensorflow-2.11.0.dist-info").mkdir()
    with pytest.raises(UnknownEnvironment, match=r"needs ipykernel") as refused:
        install.add(folder, user=True)
    uv = "uv" if shutil.which("uv") else find_uv_bin()
    assert f"Install it with: {command.format(uv=uv, python=folder / 'bin' / 'python')} ipykernel" in str(refused.value)

    (site(folder) / "link.pth").write_text(sysconfig.get_path("purelib"))
    added = install.add(folder, user=True)
    assert listing.kernels()[0].backend == "existing"
    *_, outputs = run_cells(added.name, "import sys, tensorflow as tf", "print(tf.__version__, sys.prefix)")
    assert text(outputs).split() == ["2.11.0", str(folder)]


@pytest.mark.slow  # with a stand-in: test_packages_outside_the_catalogues_bounds_are_problems
def test_the_advised_command_repairs_h5_files(installed: dict[str, Installed], place: Path) -> None:
    """As after `pip install tensorflow==1.15` years later, which takes a newer h5py, and that a newer NumPy."""
    folder = with_real_tensorflow(installed["tf1"], place / "theirs")
    (site(folder) / "tensorflow-1.15.5.dist-info").mkdir()
    uv = [find_uv_bin(), "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), "h5py==3.8.0"]
    subprocess.run(uv, check=True)
    added = install.add(folder, user=True)
    (warning,) = added.warnings
    assert warning.startswith("numpy is 1.21.6, and TensorFlow 1.15.5 needs numpy<1.20")
    assert "h5py is 3.8.0, and TensorFlow 1.15.5 needs h5py<3" in warning
    sick = doctor.examine(added.name, deep=True)
    assert "h5 fails: AttributeError: 'str' object has no attribute 'decode'" in (sick.problem or "")
    assert "lstm fails: NotImplementedError: Cannot convert a symbolic Tensor" in (sick.problem or "")
    assert warning.endswith(f"Fix it with: {sick.remedy}")
    subprocess.run(sick.remedy or "", shell=True, check=True)  # noqa: S602 (as the user types it)
    healthy = doctor.examine(added.name, deep=True)
    assert healthy.problem is None
    assert "these work, too: fit, lstm, h5, data, tensorboard" in healthy.notes


def with_real_tensorflow(made: Installed, folder: Path) -> Path:
    """A virtual environment of Python 3.7, with the real TensorFlow 1.15 in it by a link."""
    subprocess.run([made.environment.base_python, "-m", "venv", "--without-pip", folder], check=True)
    (site(folder) / "link.pth").write_text(str(site(made.environment.folder)))
    return folder


@pytest.fixture
def real(installed: dict[str, Installed], place: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The kernel of a user's environment."""
    return install.add(with_real_tensorflow(installed["tf1"], place / "user's own"), user=True).name


def test_a_kernel_of_the_real_tensorflow(real: str, place: Path) -> None:
    assert real == "tf1.15"
    *_, outputs = run_cells(
        real,
        "import sys, os, tensorflow as tf, tfkernels\n"
        "print(tf.__version__, os.path.basename(sys.prefix), os.environ['VIRTUAL_ENV'] == sys.prefix)\n"
        "with tf.Session() as session:\n    print(session.run(tf.constant(1) + 1))",
        "!python -c 'import sys; print(sys.prefix)'",
    )
    assert text(outputs).strip() == str(place / "user's own")
