"""Environments are whole or not there: interrupted, no index, a full disk, damaged, deleted."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from uv import find_uv_bin

from tests.support.commands import built, command, in_a_mount, nothing_is_there, tfkernels
from tests.support.processes import ended
from tests.support.user_files import imported, spoil
from tests.support.waiting import DEADLINE
from tfkernels.client import kernelspecs
from tfkernels.client.kernel import Kernel
from tfprovisioner.catalogue import locks
from tfprovisioner.environments import drift, store, verify
from tfprovisioner.environments.drift import Drift
from tfprovisioner.environments.run_checks import probe
from tfprovisioner.errors import BadKernelName, BuildFailed, ProvisionError
from tfprovisioner.kernelspecs import doctor, install
from tfprovisioner.kernelspecs import write as kernelspec
from tfprovisioner.kernelspecs.install import Removed
from tfprovisioner.pythons import find
from tfprovisioner.requirements.request import InstallRequest, Recipe
from tfprovisioner.system import files

_RECIPE = Recipe.of(InstallRequest("tf1"), "3.7")


def test_interrupted_leaves_nothing(place: Path) -> None:
    verify.require_import_check(_RECIPE)  # the check takes seconds
    with ended(subprocess.Popen(command("install", "tf1", "--user"), stderr=subprocess.PIPE, text=True)) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "checking" in line:
                break
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=DEADLINE)
    assert process.returncode != 0
    assert "Traceback" not in rest
    assert "interrupted, nothing changed" in rest
    assert list((place / "home" / "environments").iterdir()) == []


def test_no_index_is_told_and_leaves_nothing(place: Path) -> None:
    failed = tfkernels(
        "install", "tf1", "--user",
        UV_DEFAULT_INDEX="http://127.0.0.1:9/simple", UV_CACHE_DIR=str(place / "cache"), UV_HTTP_RETRIES="0",
    )  # fmt: skip
    assert failed.returncode == 1
    assert "Check the network, or UV_DEFAULT_INDEX" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert list((place / "home" / "environments").iterdir()) == []
    assert not (place / "jupyter" / "kernels").exists()


def test_unverified_files_are_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {pin: tuple("0" * 64 for _ in digests) for pin, digests in locks._hashes().items()}
    monkeypatch.setattr(locks, "_hashes", lambda: wrong)
    with pytest.raises(BuildFailed, match="another file than the lock names"):
        install.install(InstallRequest("tf1", user=True))
    assert list((place / "home" / "environments").iterdir()) == []


def test_unpublished_releases_are_refused_before_the_build(place: Path) -> None:
    failed = tfkernels("install", "2.99", "--user")
    assert failed.returncode == 1
    assert "Choose a release that `tfkernels releases` shows" in failed.stderr
    assert "creating an environment" not in failed.stderr
    assert not (place / "home" / "environments").exists()


def test_a_full_disk_is_told_and_leaves_nothing(place: Path) -> None:
    (place / "home").mkdir()
    install_it = " ".join(command("install", "tf1", "--user"))
    look = f"code=$?; ls {place}/home/environments; exit $code"
    script = f"mount -t tmpfs -o size=60m none {place}/home && {install_it}; {look}"
    failed = in_a_mount(script, UV_LINK_MODE="copy")  # a hard link into the cache would take no space
    assert failed.returncode == 1, failed.stderr
    assert "nothing was changed: the disk is full. Free some space" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert failed.stdout == "", "ls found nothing that was left"
    assert not (place / "jupyter" / "kernels").exists()


def test_an_unwritable_cache_of_uv_is_named(place: Path) -> None:
    (place / "cache").mkdir()
    install_it = shlex.join(command("install", "tf1", "--user"))
    failed = in_a_mount(f"mount -t tmpfs -o ro none {place}/cache && {install_it}", UV_CACHE_DIR=str(place / "cache"))
    assert failed.returncode == 1
    assert "nothing was changed: uv cannot write its cache. Name a folder that you can write to in UV" in failed.stderr
    assert nothing_is_there(place)


def test_a_data_folder_that_cannot_be_made(place: Path) -> None:
    (place / "home").write_text("a file")
    failed = tfkernels("install", "tf1", "--user")
    assert failed.returncode == 1
    assert "TFKERNELS_HOME" in failed.stderr
    assert "Traceback" not in failed.stderr


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of the tests from here on: a build takes longer than what they do with it."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def one(light_commands: None, place: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[install.Installed]:
    """A kernel of a whole environment, built if the test before has left none."""
    monkeypatch.setenv("TFKERNELS_HOME", str(home))
    for name in ("JUPYTER_DATA_DIR", "JUPYTER_PATH"):  # always the same: an environment belongs to one kernelspec
        monkeypatch.setenv(name, str(home / "jupyter"))
    yield install.install(InstallRequest("tf1", user=True))
    shutil.rmtree(home / "jupyter")  # with a kernel that points to it, the environment would be in use


def test_damage_is_diagnosed_refused_and_mended(one: install.Installed, place: Path) -> None:
    assert install.install(InstallRequest("tf1", user=True)).built is False

    one.environment.python.unlink()
    sick = tfkernels("doctor", "tf1", "--json")
    assert sick.returncode == 1
    (diagnosis,) = json.loads(sick.stdout)
    assert diagnosis["ok"] is False
    assert "interpreter" in diagnosis["problem"]
    assert diagnosis["remedy"] == "tfkernels install tf1 --user"

    mended = install.install(InstallRequest("tf1", user=True))
    assert mended.built
    assert mended.environment.folder != one.environment.folder
    assert not one.environment.folder.exists(), "nothing ran in it"
    (healthy,) = json.loads(tfkernels("doctor", "tf1", "--json").stdout)
    assert healthy["ok"], healthy
    assert healthy["findings"]["tensorflow"] == "1.15.5"
    assert store.of_kernel(_RECIPE, mended.kernelspec) == mended.environment


def test_an_environment_that_looks_whole_but_is_not(one: install.Installed) -> None:
    package = next(one.environment.folder.glob("lib/python*/site-packages/numpy/core"))
    shutil.rmtree(package)
    sick = tfkernels("doctor", "tf1")
    assert sick.returncode == 1
    assert "fix it with: tfkernels install tf1 --user --rebuild" in sick.stdout
    assert tfkernels("install", "tf1", "--user", "--rebuild").returncode == 0
    assert tfkernels("doctor", "tf1").returncode == 0


def test_deleted_by_hand(one: install.Installed) -> None:
    shutil.rmtree(one.environment.folder)
    (row,) = [row for row in json.loads(tfkernels("list", "--json").stdout) if row["name"] == "tf1"]
    assert row["state"].endswith("is broken: it does not exist")
    assert install.install(InstallRequest("tf1", user=True)).built


def test_each_kernel_has_an_environment_of_its_own(one: install.Installed) -> None:
    second = install.install(InstallRequest("1.15", name="mine", user=True))
    assert second.environment.folder != one.environment.folder
    content = json.loads((second.kernelspec / "kernel.json").read_text())
    assert content["display_name"] == "TensorFlow 1.15 · Python 3.7 (mine)"
    pip = [find_uv_bin(), "pip", "install", "--quiet", "--python", str(second.environment.python), "colorama==0.4.5"]
    subprocess.run(pip, check=True)
    assert drift.of(second.environment).added == ("colorama==0.4.5",)
    assert drift.of(one.environment) == Drift()
    for made, request in ((one, InstallRequest("tf1", user=True)), (second, InstallRequest("1.15", "mine", True))):
        again = install.install(request)
        assert (again.environment, again.built, again.registered) == (made.environment, False, False)

    assert install.remove("mine") == [Removed((second.kernelspec,), second.environment.folder)]
    assert one.environment.python.exists()
    assert install.remove("tf1") == [Removed((one.kernelspec,), one.environment.folder)]
    assert not one.environment.folder.exists()


def test_a_lost_kernels_environment_waits_for_it_alone(one: install.Installed) -> None:
    """Its packages may not be those of the recipe any more."""
    mine = install.install(InstallRequest("1.15", name="mine", user=True))
    shutil.rmtree(mine.kernelspec)
    again = install.install(InstallRequest("1.15", name="mine", user=True))
    assert (again.environment, again.built, again.registered) == (mine.environment, False, True)
    shutil.rmtree(mine.kernelspec)
    other = install.install(InstallRequest("1.15", name="other", user=True))
    assert other.built
    assert not mine.environment.folder.exists()


def test_a_rebuild_spares_other_and_running_kernels(one: install.Installed) -> None:
    other = install.install(InstallRequest("1.15", name="mine", user=True))
    with Kernel("tf1") as running:
        running.run("x = 1")
        rebuilt = install.install(InstallRequest("tf1", user=True, rebuild=True))
        assert rebuilt.environment.folder != one.environment.folder
        running.run("import tensorflow as tf; x += tf.Session().run(tf.constant(1))")
        assert running["x"] == 2, "its files are still there"
    with Kernel("tf1") as fresh:
        assert fresh["__import__('sys').prefix"] == str(rebuilt.environment.folder)
    assert one.environment.folder.exists()
    assert install.remove(other.name) == [Removed((other.kernelspec,), other.environment.folder)]
    assert install.remove("tf1") == [Removed((one.kernelspec,), rebuilt.environment.folder)]
    assert list(store.root().iterdir()) == [], "and nothing of the older one stays"


@pytest.mark.parametrize("name", ["..", ".", "-k", "a/b", "A", "x" * 101])
def test_names_are_neither_folders_nor_options(place: Path, name: str) -> None:
    with pytest.raises(BadKernelName, match="is not a kernel name"):
        install.install(InstallRequest("tf1", name=name, user=True))


def test_somebody_elses_kernel_is_left_alone(place: Path) -> None:
    other = place / "jupyter" / "kernels" / "tf1"
    other.mkdir(parents=True)
    (other / "kernel.json").write_text('{"argv": ["x"], "display_name": "mine", "language": "python"}')
    with pytest.raises(BadKernelName, match="--name"):
        install.install(InstallRequest("tf1", user=True))
    assert "mine" in (other / "kernel.json").read_text()
    assert built(place) == [], "and no minutes of work before saying so"


def test_another_release_replaces_no_kernel_unasked(one: install.Installed) -> None:
    with pytest.raises(BadKernelName, match="made by: tfkernels install tf1 --user"):
        install.install(InstallRequest("1.15", name="tf1", user=True))


@pytest.mark.parametrize("content", ["[]", "{", '{"metadata": null}', '{"metadata": {"tfkernels": 5}}', "null"])
def test_odd_kernelspecs_of_others_break_nothing(one: install.Installed, content: str) -> None:
    odd = one.kernelspec.with_name("odd")
    odd.mkdir()
    (odd / "kernel.json").write_text(content)
    assert "tf1" in kernelspecs.find()
    assert tfkernels("list").returncode == 0
    with pytest.raises(BadKernelName):
        install.install(InstallRequest("tf1", name="odd", user=True))


def test_the_current_folder_is_not_imported(
    one: install.Installed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "current").mkdir()
    log = spoil(tmp_path / "current", sys.modules)
    monkeypatch.chdir(tmp_path / "current")
    assert probe(one.environment.python).tensorflow == "1.15.5"
    assert find.ask(one.environment.python, site=True).minor == "3.7"
    assert doctor.fix(replace(doctor.examine("tf1"), remedy="tfkernels install tf1 --user")).ok
    assert not imported(log)


def test_an_unwritable_kernel_json_keeps_the_old_one(one: install.Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (one.kernelspec / "kernel.json").read_text()

    def fail(path: Path, content: bytes, executable: bool = False) -> None:
        if path.name == "kernel.json":
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(kernelspec, "replace_bytes", fail)
    with pytest.raises(ProvisionError, match="No space left"):
        kernelspec.write(InstallRequest("tf1", user=True, extras=("pandas",)), one.environment)
    assert (one.kernelspec / "kernel.json").read_text() == before


def test_pip_in_a_cell_uses_the_kernels_environment(one: install.Installed) -> None:
    spec = kernelspecs.get("tf1")
    assert spec.folder == one.kernelspec
    project = one.kernelspec.parent / "project"
    project.mkdir()
    (project / "mine.py").write_text("answer = 42")
    (project / "setup.py").write_text("from setuptools import setup\nsetup(name='mine', py_modules=['mine'])\n")
    with Kernel("tf1") as kernel:
        kernel.run(f"!pip install --quiet --disable-pip-version-check {shlex.quote(str(project))}\nimport mine")
        assert kernel["mine.answer"] == 42
        assert kernel["mine.__file__"].startswith(str(one.environment.folder))
        kernel.run("!pip uninstall --quiet --yes mine")  # other tests have the same environment


def test_files_are_shared_with_the_cache(one: install.Installed) -> None:
    """Hard links: another environment of the same packages costs next to nothing."""
    cache = subprocess.run([find_uv_bin(), "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
    if Path(cache).stat().st_dev != one.environment.folder.stat().st_dev:
        pytest.skip("uv's cache is on another file system here")
    library = next(one.environment.folder.glob("lib/python*/site-packages/numpy/core/_multiarray_umath*.so"))
    assert library.stat().st_nlink > 1


def test_records_are_synced_after_their_environment(light: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a power cut might leave the record alone, and a kernel that points to files without their content."""
    real, flushed = files.flush, []

    def watched(folder: Path) -> None:
        real(folder)
        flushed.append((folder, {path for path in folder.rglob("*") if not path.is_dir()}))

    monkeypatch.setattr(files, "flush", watched)
    made = install.install(InstallRequest("1.15", user=True)).environment.folder
    (call,) = flushed
    assert call[0] == made
    after = {path for path in made.rglob("*") if not path.is_dir()} - call[1]
    assert made / "environment.json" in after
    assert {path.parent for path in after} == {made}, "of what is installed nothing came after it"
