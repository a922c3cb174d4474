"""Environments change under their kernels: ``doctor`` tells it, ``--fix`` mends it, ``gc`` takes away the rest."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from uv import find_uv_bin

from tests.support import channels, commands, package_index
from tests.support.commands import tfkernels
from tests.support.processes import ended
from tfprovisioner.environments import store
from tfprovisioner.environments.run_checks import Findings
from tfprovisioner.kernelspecs import doctor, gc, install, listing
from tfprovisioner.kernelspecs.install import Installed
from tfprovisioner.requirements.request import InstallRequest
from tfprovisioner.resolution import resolve


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data folder for all these tests: an environment that a test leaves whole is not built again."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def extras(small_lock: str) -> str:
    """The lock of what these tests add."""
    return channels.part_of(small_lock, "colorama==0.4.5", "tqdm<4.60", minor="3.7")


@pytest.fixture
def one(
    light: str, light_commands: None, extras: str, place: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Installed]:
    """Kernel tf1.15, which no other Jupyter here has, in a Jupyter of its own. It has the stand-in for TensorFlow."""
    monkeypatch.setattr(resolve, "lock", lambda request, *rest: light + extras * bool(request.extras))
    _, code, *first = commands.program
    monkeypatch.setattr(doctor, "_COMMAND", f"import sys\nsys.argv[1:1] = {first!r}\n{code}")
    monkeypatch.setenv("TFKERNELS_HOME", str(home))
    for name in ("JUPYTER_DATA_DIR", "JUPYTER_PATH"):  # always the same: an environment belongs to one kernelspec
        monkeypatch.setenv(name, str(home / "jupyter"))
    made = install.install(InstallRequest("1.15", user=True))
    yield made
    shutil.rmtree(made.kernelspec, ignore_errors=True)


def pip(environment: store.Environment, *packages: str) -> None:
    """What ``!pip install`` in a cell does."""
    install = [find_uv_bin(), "pip", "install", "--quiet", "--python", str(environment.python)]
    subprocess.run([*install, *packages], check=True)


def test_doctor_reports_changes_and_fixes_breakage(
    one: Installed, command: Callable[..., tuple[int, str, str]]
) -> None:
    pip(one.environment, "six==1.15.0", "colorama==0.4.5")
    site = next(one.environment.folder.glob("lib/python*/site-packages"))
    edited = (module := site / "tornado" / "wsgi.py").read_text() + "\n# edited\n"
    module.unlink()  # else the file in uv's cache is edited, and in all environments of this machine
    module.write_text(edited)
    diagnosis = doctor.examine("tf1.15")
    assert diagnosis.ok
    assert diagnosis.warnings[0].startswith("six is 1.15.0 instead of ")
    assert diagnosis.warnings[1:] == ("tornado: tornado/wsgi.py was changed",)
    assert diagnosis.notes == ("colorama==0.4.5 was added",)
    assert diagnosis.remedy is None

    (site / "pygments" / "styles" / "vim.py").unlink()
    diagnosis = doctor.examine("tf1.15")
    assert not diagnosis.ok, "TensorFlow itself does not miss it, and somebody will"
    assert "pygments/styles/vim.py is missing" in (diagnosis.problem or "")
    assert diagnosis.remedy == "tfkernels install 1.15 --user --rebuild"

    code, printed, said = command("doctor", "tf1.15", "--fix", "--json")
    assert code == 0, said
    (mended,) = json.loads(printed)
    assert mended["mended"] == "tfkernels install 1.15 --user --rebuild"
    assert mended["warnings"] == []
    (lost,) = mended["notes"]
    assert lost.endswith("Add it with: tfkernels install 1.15 --user --with colorama==0.4.5")
    assert not one.environment.folder.exists()


def test_known_breaks_are_problems_of_our_own_kernels_too(one: Installed) -> None:
    pip(one.environment, "h5py==3.8.0")
    sick = doctor.examine("tf1.15")
    assert (sick.problem or "").startswith("h5py is 3.8.0, and TensorFlow 1.15.5 needs h5py<3: ")
    assert sick.remedy == "tfkernels install 1.15 --user --rebuild"
    assert doctor.fix(sick).ok


@pytest.mark.parametrize(("package", "title"), [("tensorflow", "TensorFlow"), ("ipykernel", "ipykernel")])
def test_what_was_uninstalled_is_told_and_installed_anew(one: Installed, package: str, title: str) -> None:
    uninstall = [find_uv_bin(), "pip", "uninstall", "--quiet", "--python", str(one.environment.python), package]
    subprocess.run(uninstall, check=True)
    site = next(one.environment.folder.glob("lib/python*/site-packages"))
    (site / "ipykernel-6.0.dist-info").mkdir()  # as an uninstallation that was interrupted leaves it
    (site / "tensorflow_estimator").mkdir()  # a package whose name begins like TensorFlow's is still there
    (site / "tensorflow_estimator-1.15.1.dist-info").mkdir()
    (row,) = [row for row in listing.kernels() if row.name == "tf1.15"]
    assert f"{title} is no longer in it" in row.state
    assert doctor.examine("tf1.15").remedy == "tfkernels install 1.15 --user"
    again = install.install(InstallRequest("1.15", user=True))
    assert again.built
    assert [row.state for row in listing.kernels() if row.name == "tf1.15"] == ["ok"]


def test_two_tensorflows_in_one_environment_are_told(one: Installed, tmp_path: Path) -> None:
    other = package_index.wheel(tmp_path, "tensorflow_cpu", "1.15.0", {"tensorflow/another.py": ""})
    asking = package_index.wheel(tmp_path, "asking", "1.0", {"asking.py": ""})
    pip(one.environment, "--no-deps", str(other), str(asking))
    diagnosis = doctor.examine("tf1.15")
    assert diagnosis.ok
    assert diagnosis.warnings[0].startswith(
        "tensorflow 1.15.5 and tensorflow-cpu 1.15.0 are both installed and overwrite each other's files"
    )
    assert "--with, not with !pip install" in diagnosis.warnings[0]
    assert diagnosis.remedy == "tfkernels install 1.15 --user --rebuild"
    mended = doctor.fix(diagnosis)
    assert (mended.ok, mended.warnings, mended.remedy) == (True, (), None)
    assert "asking==1.0" in mended.notes[0], "what else had been added"


def test_an_unreadable_kernel_json_keeps_extras(one: Installed) -> None:
    made = install.install(InstallRequest("1.15", name="mine", user=True, extras=("colorama==0.4.5",)))
    try:
        (made.kernelspec / "kernel.json").write_text("{")
        sick = doctor.examine("mine")
        assert sick.remedy == "tfkernels install 1.15 --name mine --user --with colorama==0.4.5"
        assert doctor.fix(sick).ok
        again = install.install(InstallRequest("1.15", name="mine", user=True))
        assert (again.environment, again.built, again.kept) == (made.environment, False, ("colorama==0.4.5",))
    finally:
        install.remove("mine")


@pytest.mark.parametrize(
    ("then", "now", "told"),
    [("2.22", "2.22.0", False), ("2.22", "2.2.2", True), ("2.15.0.post1", "2.15.0", False), ("2.15.0", "2.15.1", True)],
)
def test_a_release_by_another_name_is_no_upgrade(then: str, now: str, told: bool) -> None:
    findings = Findings(tensorflow=now, python="3.13.0", numpy="2.0", ipykernel="7.0")
    assert bool(doctor._upgraded({"tensorflow": then, "python": "3.13.0"}, findings)) == told


def test_kernels_that_point_to_nothing_are_registered_again(one: Installed) -> None:
    file = one.kernelspec / "kernel.json"
    whole = file.read_text()
    content = json.loads(whole)
    content["argv"][0] = "/no/where/python"
    content["argv"][2] = "/no/where/launcher.py"
    for broken in (json.dumps(content), whole.replace('"argv"', '"argv'), whole.replace(".build-", ".build-0")):
        file.write_text(broken)
        sick = doctor.examine("tf1.15")
        assert not sick.ok
        assert sick.remedy == "tfkernels install 1.15 --user"
        assert doctor.fix(sick).ok
        assert json.loads(file.read_text())["argv"] == json.loads(whole)["argv"]
    assert len(list(store.root().iterdir())) == 1, "and nothing had to be built for it"


def test_a_python_that_became_another_one(one: Installed) -> None:
    """As where the system's python3 was upgraded under an environment."""
    one.environment.python.unlink()
    one.environment.python.symlink_to(Path(sys.executable).resolve())
    try:
        diagnosis = doctor.examine("tf1.15")
    finally:
        one.environment.python.unlink()
        one.environment.python.symlink_to(one.environment.base_python)
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert f"has become Python {here}" in (diagnosis.problem or "")
    assert diagnosis.remedy == "tfkernels install 1.15 --user"


def test_a_kernel_keeps_what_it_was_made_with(one: Installed) -> None:
    first = install.install(InstallRequest("1.15", name="mine", user=True))
    more = install.install(InstallRequest("1.15", name="mine", user=True, extras=("tqdm<4.60",)))
    assert more.built
    assert (more.extras, more.kept) == (("tqdm<4.60",), ())
    version = [str(more.environment.python), "-c", "import tqdm; print(tqdm.__version__ < '4.60')"]
    assert subprocess.run(version, capture_output=True, text=True, check=True).stdout == "True\n"

    again = install.install(InstallRequest("1.15", name="mine", user=True))
    assert (again.environment, again.built, again.kept) == (more.environment, False, ("tqdm<4.60",))
    plain = install.install(InstallRequest("1.15", name="mine", user=True, without=("tqdm",)))
    assert plain.environment.recipe == first.environment.recipe
    assert not more.environment.folder.exists(), "nothing points to it any more"
    assert install.remove("mine")[0].environment == plain.environment.folder


def test_remove_takes_a_kernel_away_everywhere(one: Installed, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(place / "venv"))
    monkeypatch.setattr("jupyter_core.paths.ENV_JUPYTER_PATH", [str(place / "venv" / "share" / "jupyter")])
    both = [install.install(InstallRequest("1.15", name="twice", user=user)).kernelspec for user in (True, False)]
    removed = install.remove("twice")
    assert {path for each in removed for path in each.kernelspecs} == {*both}
    assert not any(path.exists() for path in both)
    assert not any(each.environment is None or each.environment.exists() for each in removed)
    assert one.environment.folder.exists()


def test_gc_removes_what_nothing_points_to(
    one: Installed, home: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = store.root() / "tensorflow-2.0.0-py3.7-0123456789ab.build-aaaaaa"
    (half / "bin").mkdir(parents=True)
    (half / "bin" / "python").write_text("x" * 1000)
    stale = home / "locks" / "tensorflow-1.0.0-py3.6-0123456789ab.lock"
    stale.touch()
    told = json.loads(tfkernels("gc", "--dry-run", "--json").stdout)
    assert {item["path"]: item["size"] for item in told}.items() >= {str(half): 1000, str(stale): 0}.items()
    assert str(one.environment.folder) not in [item["path"] for item in told]
    assert half.exists()
    done = tfkernels("gc")
    assert f"removed {half}: an unfinished build" in done.stdout
    assert not half.exists()
    assert not stale.exists()

    monkeypatch.setenv("JUPYTER_PATH", str(place / "other"))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(place / "other"))
    assert gc.collect() == [], "a Jupyter that is not this one has a kernel of it"

    shutil.rmtree(one.kernelspec)
    sleep = [str(one.environment.python), "-c", "import time; print(flush=True); time.sleep(1000)"]
    with ended(subprocess.Popen(sleep, stdout=subprocess.PIPE)) as running:
        assert running.stdout is not None
        running.stdout.readline()
        assert gc.collect() == [], "somebody works in it"
    assert [item.path for item in gc.collect() if item.size] == [str(one.environment.folder)]
    assert list(store.root().iterdir()) == []
    assert list((home / "locks").iterdir()) == []
