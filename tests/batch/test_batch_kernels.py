"""A kernel on another machine: the same one, built there on first use, once, and registered for nobody."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import package_index
from tfkernels.client import kernelspecs
from tfkernels.errors import UnknownKernel
from tfprovisioner.batch import kernel_ref
from tfprovisioner.batch.kernel_ref import KernelMissing, KernelRef, resolve, wanted, wanted_of
from tfprovisioner.environments.backends import LOCK
from tfprovisioner.errors import UnknownRelease
from tfprovisioner.kernelspecs import gc, install, run_env
from tfprovisioner.requirements.request import InstallRequest
from tfprovisioner.system import data_dir
from tfprovisioner.system.subprocesses import Children, Stopped


@pytest.fixture
def elsewhere(light: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> KernelRef:
    """What ``tf1`` means on a machine that has it; after that this is another machine."""
    install.install(InstallRequest("tf1", user=True))
    found = wanted("tf1")
    _move(place, monkeypatch)
    return found


def _move(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFKERNELS_HOME", str(place / "other"))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(place / "other-jupyter"))
    monkeypatch.setenv("JUPYTER_PATH", str(place / "other-jupyter"))


def _environments(place: Path) -> list[Path]:
    return sorted((place / "other" / "environments").glob("*/environment.json"))


def test_a_registered_kernel_is_used_unchanged(light: str, place: Path) -> None:
    done = install.install(InstallRequest("tf1", user=True))
    told: list[str] = []
    assert resolve(wanted("tf1"), told.append).folder == done.kernelspec
    assert not told
    assert not data_dir.batch_kernels().exists()


def test_batches_build_beside_kernels_of_users(light: str, place: Path) -> None:
    """A cell of the batch may install packages."""
    user = install.install(InstallRequest("tf1", user=True))
    spec = resolve(kernel_ref.wanted_of(InstallRequest("1.15.5")), lambda _: None)
    assert spec.described["environment"] != str(user.environment.folder)
    for name in ("tf1", "other"):  # what a batch has built is no user's
        again = install.install(InstallRequest("tf1", name=name, user=True))
        assert str(again.environment.folder) != spec.described["environment"]


def test_missing_kernels_are_built_once_and_not_registered(elsewhere: KernelRef, place: Path) -> None:
    travelled: KernelRef = pickle.loads(pickle.dumps(elsewhere))  # noqa: S301 (as Dask does)
    assert not kernel_ref.ready(travelled)
    told: list[str] = []
    with ThreadPoolExecutor(2) as threads:
        one, other = threads.map(lambda _: resolve(travelled, told.append), range(2))
    assert one.folder == other.folder
    assert any("installing TensorFlow 1.15.5" in step for step in told)
    assert any("waiting for another tfkernels" in step for step in told)
    assert len(_environments(place)) == 1
    assert kernel_ref.ready(travelled)
    assert one.ours
    assert one.spec["argv"][0] == str(one.folder / "python")
    assert run_env.python(one).startswith(str(place / "other" / "environments"))
    assert kernelspecs.find() == {}
    assert not (place / "other-jupyter").exists()


def test_gc_keeps_what_batches_use_for_a_month(elsewhere: KernelRef, place: Path) -> None:
    spec = resolve(elsewhere, lambda _: None)
    assert gc.collect() == []
    assert len(_environments(place)) == 1

    month_ago = time.time() - 31 * 24 * 3600
    os.utime(spec.folder / "kernel.json", (month_ago, month_ago))
    assert {item.path for item in gc.collect(dry_run=True)} > {str(spec.folder)}
    assert len(_environments(place)) == 1
    resolve(elsewhere, lambda _: None)  # which makes it young again
    assert gc.collect() == []

    os.utime(spec.folder / "kernel.json", (month_ago, month_ago))
    gc.collect()
    assert not _environments(place)
    assert not list((place / "other" / "batch").glob("*"))


def test_a_build_without_waiters_still_finishes(elsewhere: KernelRef, place: Path) -> None:
    unwanted, others = Children(), Children()

    def stop_at_the_installation(step: str) -> None:
        if "installing" in step:
            unwanted.stop()

    with unwanted.of_this_thread(), pytest.raises(Stopped):
        resolve(elsewhere, stop_at_the_installation)
    assert not _environments(place)
    with others.of_this_thread():
        resolve(elsewhere, lambda _: None)
    assert len(_environments(place)) == 1


def test_other_packages_under_the_same_name_are_refused(elsewhere: KernelRef) -> None:
    assert elsewhere.recipe is not None
    outdated = replace(elsewhere, recipe=replace(elsewhere.recipe, lock="0" * 64))
    with pytest.raises(
        KernelMissing, match=r"made from other packages.*Rebuild it with: tfkernels install 1\.15\.5 --rebuild"
    ):
        resolve(outdated, lambda _: None)


def test_foreign_kernels_must_exist_on_the_worker(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = place / "jupyter" / "kernels" / "mine"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(
        json.dumps({"argv": [sys.executable, "-m", "x"], "display_name": "Mine", "language": "python"})
    )
    mine = wanted("mine")
    assert mine.request is None
    assert resolve(mine, lambda _: None).folder == folder
    _move(place, monkeypatch)
    assert not kernel_ref.ready(mine)
    with pytest.raises(KernelMissing, match="has no kernel mine, and cannot build it"):
        resolve(mine, lambda _: None)


def test_local_paths_are_refused_on_other_machines(light: str, place: Path) -> None:
    python = str(InstallRequest("tf1").choose_interpreter().path)
    install.install(InstallRequest("tf1", name="mine", user=True, python=python))
    order = wanted("mine").request
    assert order is not None
    assert (order.python, order.release, order.name) == ("3.7", "1.15.5", "mine")


def test_unavailable_kernels_are_reported_before_any_run(place: Path) -> None:
    with pytest.raises(UnknownKernel, match="tfkernels install tf1"):
        wanted("tf1")
    assert wanted_of(InstallRequest("1.15")).name == "tf1.15"
    with pytest.raises(UnknownRelease):
        wanted_of(InstallRequest("7.7"))


def test_kernels_of_locks_travel_with_their_lock(
    index: package_index.Index, command: Callable[..., tuple[int, str, str]], place: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
    package_index.wheel(index.folder, "extra", "2.0", {"extra.py": ""})
    assert command("install", "tf1", "--user", "--name", "mine", "--with", "extra")[0] == 0
    (place / "lock").write_text(command("lock", "mine")[1])
    assert command("install", "--user", "--name", "locked", "--lock", str(place / "lock"))[0] == 0
    travelled = wanted("locked")
    _move(place, monkeypatch)
    shutil.rmtree(place / "jupyter")
    spec = resolve(travelled, lambda _: None)
    lock = (Path(spec.described["environment"]) / LOCK).read_text()
    assert "extra==2.0" in lock
    assert lock in (place / "lock").read_text()
