"""Packages beside TensorFlow, resolved by uv: what is added, and what is refused."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.commands import tfkernels
from tfprovisioner.catalogue import locks, releases
from tfprovisioner.catalogue import releases as catalogue
from tfprovisioner.environments import store
from tfprovisioner.errors import BadRequirement, BuildFailed
from tfprovisioner.progress import Reporter
from tfprovisioner.pythons.choose import Interpreter
from tfprovisioner.requirements import lines
from tfprovisioner.requirements.request import InstallRequest
from tfprovisioner.resolution import one_tensorflow, resolve, uv_resolution
from tfprovisioner.resolution.source_builds import SourceBuilds


def test_a_conflict_is_explained_and_changes_nothing(place: Path) -> None:
    failed = tfkernels("install", "tf1", "--user", "--with", "tensorflow-probability>=0.12,<0.15", "--with", "tqdm")
    assert failed.returncode == 1
    said = " ".join(failed.stderr.split())
    assert "Cannot add 'tensorflow-probability>=0.12,<0.15' to TensorFlow 1.15.5 on Python 3.7:" in said
    assert "needs gast>=0.3.2; TensorFlow 1.15.5 needs gast==0.2.2" in said
    assert list(store.root().iterdir()) == []
    assert not (place / "jupyter" / "kernels").exists()


def locked(tmp_path: Path, release: str, python: str, *wanted: str, gpu: bool = False) -> str:
    """The lock for a kernel with extras; nothing of it is installed."""
    order = InstallRequest(release, extras=wanted, gpu=gpu)
    return resolve.lock(order, Interpreter(python, None), Path(python), tmp_path, Reporter("test"))


def test_projects_around_the_data_folder_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'without a version'\n")
    (tmp_path / "home").mkdir()
    wheels = SourceBuilds({}, "3.13")
    assert not uv_resolution.resolve((), (), (), ["--python", sys.executable], tmp_path / "home", print, wheels)


def test_a_requirement_for_another_python_replaces_nothing(tmp_path: Path) -> None:
    text = locked(tmp_path, "1.15.5", "3.7", "matplotlib<3.5 ; python_version >= '3.8'")
    assert uv_resolution.pinned(text, "3.7") == uv_resolution.pinned(releases.find("1.15.5").lock or "", "3.7")


@pytest.mark.parametrize(
    ("release", "python", "extra"),
    [("2.21.0", "3.13", "tf-keras"), ("2.15.1", "3.11", "tensorflow-text"), ("2.11.1", "3.10", "tensorflow>=2.11,<3")],
)
def test_extras_use_the_installed_tensorflow(tmp_path: Path, release: str, python: str, extra: str) -> None:
    text = locked(tmp_path, release, python, extra, "six")
    before, after = uv_resolution.pinned(releases.find(release).lock or "", python), uv_resolution.pinned(text, python)
    assert [name for name in after if name in releases.TENSORFLOWS] == ["tensorflow-cpu"]
    assert "file:" not in text
    assert {name: version for name, version in after.items() if name in before} == before, "and all else stays"
    line = ".".join(release.split(".")[:2])
    assert after.get(extra, f"{line}.0").startswith(f"{line}."), "in the version that goes with it"
    assert list(tmp_path.iterdir()) == []


def test_unbounded_companions_are_of_the_releases_time(tmp_path: Path) -> None:
    for line, version in {"keras>=2.0.8": "2.3.1", "keras==2.6.0": "2.6.0"}.items():
        assert uv_resolution.pinned(locked(tmp_path, "1.15.5", "3.7", line), "3.7")["keras"] == version


def test_extras_for_another_tensorflow_name_both_versions(tmp_path: Path) -> None:
    with pytest.raises(BadRequirement) as refused:
        locked(tmp_path, "2.15.1", "3.11", "tf-keras>=2.17")
    assert str(refused.value).startswith("Cannot add 'tf-keras>=2.17' to TensorFlow 2.15.1")
    assert re.search(r"needs tensorflow>=2\.17.*, and this kernel has TensorFlow 2\.15\.1", str(refused.value))


@pytest.mark.parametrize("line", ["tensorflow==2.11.0", "tensorflow-gpu==2.11.0", "tensorflow-cpu==2.11.0"])
def test_another_tensorflow_is_another_kernel(tmp_path: Path, line: str) -> None:
    for limit in ("", lines.LIMIT):
        with pytest.raises(BadRequirement, match=r"already has TensorFlow 2\.11\.1.*: tfkernels install 2\.11\.0"):
            locked(tmp_path, "2.11.1", "3.10", f"{limit}{line}")
    locked(tmp_path, "2.11.1", "3.10", f"{line} ; python_version < '3'")


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("tensorflow==1.14", "install 1.14"),
        ("tensorflow-gpu==1.15.0", "install 1.15.0"),
        ("tensorflow==1.15.99", "releases"),
    ],
)
def test_the_advised_release_is_the_required_one(tmp_path: Path, line: str, command: str) -> None:
    with pytest.raises(BadRequirement) as refused:
        locked(tmp_path, "1.15", "3.7", line)
    assert f"tfkernels {command}\n" in str(refused.value)
    if command != "releases":
        version = releases.find(command.split()[1]).version
        assert not one_tensorflow.others([one_tensorflow.meaning_the_line(line)], {"tensorflow": version}, "3.7")


@pytest.mark.parametrize("line", ["tf-nightly", "tensorflow @ https://127.0.0.1/tensorflow-2.11.1-py3-none-any.whl"])
def test_tensorflows_without_a_version_are_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(BadRequirement, match=r"already has TensorFlow 2\.11\.1.*tfkernels releases"):
        locked(tmp_path, "2.11.1", "3.10", line)


def differing(text: str, release: str, python: str) -> dict[str, tuple[str, str]]:
    """The packages of a release's lock that another lock has in other versions."""
    before, after = (uv_resolution.pinned(lock, python) for lock in (releases.find(release).lock or "", text))
    return {name: (pin, after[name]) for name, pin in before.items() if after.get(name, pin) != pin}


def test_only_what_the_lines_are_against_differs(tmp_path: Path) -> None:
    wanted = ("matplotlib<3.5", "ipywidgets", "-c tqdm<4.60", "pandas", "tensorflow-gpu==1.15")
    text = locked(tmp_path, "1.15.5", "3.7.16", *wanted)
    found = differing(text, "1.15.5", "3.7.16")
    assert found.keys() == {"matplotlib", "tqdm"}
    assert found["matplotlib"][1].startswith("3.4.")
    assert found["tqdm"][1].startswith("4.59.")


def test_pins_win_over_the_verified_versions(tmp_path: Path) -> None:
    """Matplotlib's verified version wants a newer NumPy, and TensorFlow needs no Matplotlib."""
    wanted = ("numpy==1.16.2", "h5py==2.9.0", "pillow<7", "ipywidgets<8", "termcolor>=2")
    text = locked(tmp_path, "1.13.1", "3.7", *wanted)
    found = differing(text, "1.13.1", "3.7")
    assert {name: found[name][1] for name in ("numpy", "h5py")} == {"numpy": "1.16.2", "h5py": "2.9.0"}
    expected = {"numpy", "h5py", "pillow", "ipywidgets", "jupyterlab-widgets", "widgetsnbextension", "termcolor"}
    assert found.keys() == {*expected, "matplotlib"}, "and all else stays"
    pins, hashes = locks.split(text)
    verified = locks.split(releases.find("1.13.1").lock or "")[1]
    assert all(hashes[pin] == verified[pin] for pin in pins if pin in verified), "with the hashes that were verified"


def test_old_pandas_is_resolved(tmp_path: Path) -> None:
    """uv does not understand its own requirements."""
    text = locked(tmp_path, "1.13.1", "3.7", "pandas==0.24.2", "numpy==1.16.2")
    found = uv_resolution.pinned(text, "3.7")
    assert (found["pandas"], found["numpy"]) == ("0.24.2", "1.16.2")
    assert {"pytz", "python-dateutil"} <= found.keys()


@pytest.mark.parametrize(
    ("line", "because"),
    [
        ("numpy<1.13", "TensorFlow 1.13.1 needs numpy>=1.13.3"),
        ("ipykernel<5", "the kernel needs ipykernel>=5: tfkernels extends classes that came with 5"),
    ],
)
def test_needs_of_tensorflow_and_of_kernels_win(tmp_path: Path, line: str, because: str) -> None:
    with pytest.raises(BadRequirement, match="Cannot add") as refused:
        locked(tmp_path, "1.13.1", "3.7", line)
    assert f"{line}: {because}\n" in str(refused.value)


def test_bounds_with_a_working_import_give_way(tmp_path: Path) -> None:
    assert differing(locked(tmp_path, "1.14.0", "3.7", "h5py==3.1.0"), "1.14.0", "3.7") == {"h5py": ("2.10.0", "3.1.0")}
    with pytest.raises(BadRequirement, match="protobuf<4"):
        locked(tmp_path, "1.15.5", "3.7", "protobuf>=4")


def test_newer_releases_are_resolved_at_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older = tuple(release for release in catalogue.releases() if release.line != "2.21")
    monkeypatch.setattr(catalogue, "releases", lambda: older)
    monkeypatch.setattr(catalogue, "lines", lambda day=None: {release.line: release for release in older})
    release, order = catalogue.find("2.21"), InstallRequest("2.21")
    assert not release.known
    uv_resolution.require_published(release, "3.12")
    with pytest.raises(BuildFailed, match="Choose a release that `tfkernels releases` shows"):
        uv_resolution.require_published(replace(release, version="2.99"), "3.12")
    interpreter = Interpreter("3.12", None)
    text = resolve.lock(order, interpreter, Path("3.12"), tmp_path, Reporter("test"))
    pins, hashes = locks.split(text)
    assert any(re.match(r"tensorflow(-cpu)?==2\.21\.\d+", pin) for pin in pins)
    assert all(hashes.values())
    more = replace(order, extras=("tf-keras",))
    pins, _ = locks.split(resolve.lock(more, interpreter, Path("3.12"), tmp_path, Reporter("test")))
    assert any(pin.startswith("tf-keras==2.21.") for pin in pins)
    assert [pin.split("==")[0] for pin in pins if pin.startswith("tensorflow")] == ["tensorflow-cpu"]
    assert list(tmp_path.iterdir()) == []
