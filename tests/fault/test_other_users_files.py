"""What other users' permissions hide is neither deleted nor called missing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tfkernels import env_vars
from tfprovisioner.environments import store
from tfprovisioner.errors import ProvisionError
from tfprovisioner.kernelspecs import gc, health, install, listing, other_users
from tfprovisioner.requirements.request import InstallRequest, Recipe

OTHER = 65534
"""The number of the user nobody."""

# The system lets only root take another number; the continuous integration runs as root, and so runs these tests.
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data folder and a Jupyter that everybody may write to. Pytest's own folders are private."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o777)  # noqa: S103 (as a shared, group-writable data folder is)
        monkeypatch.setenv("TFKERNELS_HOME", folder)
        for name in ("JUPYTER_DATA_DIR", "JUPYTER_PATH"):
            monkeypatch.setenv(name, f"{folder}/jupyter")
        monkeypatch.setattr("jupyter_core.paths.ENV_JUPYTER_PATH", [])
        yield Path(folder)


@contextmanager
def another_user() -> Iterator[None]:
    os.seteuid(OTHER)
    try:
        yield
    finally:
        os.seteuid(0)


def kernel(shared: Path, name: str, jupyter: str) -> tuple[Path, Path]:
    """A kernelspec and its environment: only the files that ``gc`` and ``list`` look at."""
    environment = store.root() / f"tensorflow-1.15.5-py3.7-{name}.build-abc123"
    environment.mkdir(parents=True)
    (environment / "environment.json").write_text("{}")
    described = {
        "environment": str(environment), "tensorflow": "1.15.5", "python": "3.7.9", "backend": "uv",
        "command": f"tfkernels install 1.15 --name {name}",
    }  # fmt: skip
    spec = {"argv": ["python"], "display_name": name, "language": "python", "metadata": {"tfkernels": described}}
    kernelspec = shared / jupyter / "kernels" / name
    kernelspec.mkdir(parents=True)
    (kernelspec / "kernel.json").write_text(json.dumps(spec))
    store.note_kernel(environment, kernelspec)
    for path in shared.rglob("*"):
        os.chmod(path, 0o777)  # noqa: S103
    return kernelspec, environment


@pytest.mark.parametrize("hidden", ["a home with the kernel", "the record", "the list of kernels"])
def test_gc_keeps_what_may_not_be_read(shared: Path, hidden: str) -> None:
    kernelspec, environment = kernel(shared, "theirs", "home")
    if hidden == "a home with the kernel":
        os.chmod(shared / "home", 0)
    else:
        shutil.rmtree(kernelspec)
        os.chmod(environment / {"the record": "environment.json", "the list of kernels": "kernels.json"}[hidden], 0)
    with another_user():
        found = gc.collect()
    assert environment.is_dir()
    assert str(environment) not in [item.path for item in found]


def test_remove_without_permission_changes_nothing(shared: Path) -> None:
    kernelspec, environment = kernel(shared, "theirs", "jupyter")
    os.chmod(environment, 0o755)  # noqa: S103 (others may read it)
    with another_user(), pytest.raises(ProvisionError, match="could not be removed, and nothing was changed") as told:
        install.remove("theirs")
    assert str(environment) in str(told.value)
    assert (kernelspec / "kernel.json").exists()
    assert store.FOLDERS.record in os.listdir(environment)


@pytest.mark.parametrize("closed", ["data/environments", "pythons", "jupyter/kernels", "tfkernels"])
def test_root_is_told_what_others_cannot_reach(shared: Path, closed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFKERNELS_HOME", str(shared / "data"))
    kernelspec, folder = kernel(shared, "theirs", "share/jupyter")
    for path in (shared / "pythons" / "python", folder / "bin" / "python", shared / "tfkernels" / "launcher.py"):
        path.parent.mkdir()
    shutil.copy(shutil.which("true") or "", shared / "pythons" / "python")
    (folder / "bin" / "python").symlink_to(shared / "pythons" / "python")
    (shared / "tfkernels" / "launcher.py").touch()
    argv = ["python", str(shared / "tfkernels" / "launcher.py")]
    (kernelspec / "kernel.json").write_text(json.dumps({"argv": argv}))
    recipe = Recipe.of(InstallRequest("1.15"), "3.7")
    environment = store.Environment(folder, recipe, "3.7.9", "", "2026-01-01", 0)
    assert other_users.closed(environment, kernelspec) == ()
    place = kernelspec.parent if closed == "jupyter/kernels" else shared / closed
    os.chmod(place, 0o700)
    (told,) = other_users.closed(environment, kernelspec)
    with monkeypatch.context() as notebook:
        notebook.setenv(env_vars.PARENT, "1")
        assert other_users.closed(environment, kernelspec) == (), "a notebook of root has no other users"
    assert told.startswith(f"other users may not be able to start this kernel: {place} lets in only its owner and")
    if closed == "pythons":
        assert told.endswith("Install it with TFKERNELS_HOME and --python outside of it.")
    elif closed == "tfkernels":
        assert told.endswith("Install tfkernels outside of it, and the kernel with that.")
    else:
        subprocess.run(told.partition("Open it with: ")[2], shell=True, check=True)  # noqa: S602 (as printed)
        assert other_users.closed(environment, kernelspec) == ()
    os.chmod(kernelspec.parent, 0o700)
    assert other_users.closed(environment, kernelspec, user=True) == (), "others do not see it"


def test_list_judges_each_kernel_by_itself(shared: Path) -> None:
    _, hidden = kernel(shared, "hidden", "jupyter")
    _, lost = kernel(shared, "lost", "jupyter")
    shutil.rmtree(lost)
    os.chmod(hidden, 0)
    with another_user():
        states = {row.name: row.state for row in listing.kernels()}
    assert states["hidden"] == f"{hidden / 'environment.json'} cannot be read: Permission denied"
    assert states["lost"] == f"its environment {lost} is broken: it does not exist"


@pytest.mark.parametrize("closed", ["its Python", "its packages"])
def test_an_unreadable_environment_is_neither_whole_nor_broken(
    shared: Path, closed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernelspec, folder = kernel(shared, "theirs", "jupyter")
    places = {"its Python": shared / "pythons", "its packages": folder / "lib"}
    (shared / "pythons").mkdir()
    (shared / "pythons" / "python3.7").touch()
    (folder / "bin").mkdir()
    (folder / "bin" / "python").symlink_to(shared / "pythons" / "python3.7")
    (folder / "lib" / "python3.7").mkdir(parents=True)
    os.chmod(places[closed], 0)
    recipe = Recipe.of(InstallRequest("1.15"), "3.7")
    store.Environment(folder, recipe, "3.7.9", "", "2026-01-01", 0).save()
    monkeypatch.setattr(Recipe, "name", folder.name.partition(".build-")[0])
    spec = json.loads((kernelspec / "kernel.json").read_text())
    with another_user():
        assert store.of_kernel(recipe, kernelspec) is not None
        assert store.whole(InstallRequest("1.15"), kernelspec) is None
        _, told = health.look(spec["argv"], spec["metadata"]["tfkernels"])
    assert told is not None
    assert told.endswith("cannot be read: Permission denied"), "and not that it is broken"
    assert "broken" not in told
