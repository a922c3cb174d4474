"""What the files of an environment say about its packages."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tfprovisioner.catalogue import locks, releases
from tfprovisioner.environments import differing, drift, store
from tfprovisioner.environments.differing import Differing
from tfprovisioner.environments.installed import installed, needed_by
from tfprovisioner.environments.store import Environment
from tfprovisioner.requirements.request import InstallRequest, Recipe


@pytest.mark.parametrize(
    ("name", "files", "modules"),
    [
        ("tensorflow_text", ["tensorflow_text/__init__.py", "tests/__init__.py"], "tensorflow_text"),
        ("IPython", ["IPython/__init__.py", "IPython/core/__init__.py"], "IPython"),
        ("PyYAML", ["yaml/__init__.py", "_yaml/__init__.py"], "yaml"),
        ("scikit_learn", ["sklearn/__init__.py", "setup.py", "tests/__init__.py"], "sklearn"),
        ("opencv_python", ["cv2/__init__.py", "opencv_python.libs/libz.so", "../../../bin/tool.py"], "cv2"),
        ("google_cloud_storage", ["google/cloud/storage/__init__.py"], "google.cloud.storage"),
        ("python_dateutil", ["dateutil/__init__.py", "dateutil/zoneinfo/__init__.py"], "dateutil"),
        ("six", ["six.py"], "six"),
        ("PyMuPDF", ["fitz.py", "_fitz.cpython-37m-x86_64-linux-gnu.so", "mupdf.cpython-37m.so"], "fitz mupdf"),
        ("pandas_stubs", ["pandas-stubs/__init__.pyi"], ""),
        ("notes", ["notes-1.0.data/data/notes.txt"], ""),
    ],
)
def test_distributions_are_imported_by_their_public_names(
    name: str, files: list[str], modules: str, tmp_path: Path
) -> None:
    info = tmp_path / "lib" / "python3.7" / "site-packages" / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in [*files, f"{info.name}/RECORD"]))
    (package,) = installed(tmp_path).values()
    assert package.modules() == tuple(modules.split())


@pytest.mark.parametrize(
    ("written", "changed"), [(250, False), (400, True), (2500, True)], ids=["unpacked", "in uv's cache", "later"]
)
def test_a_slowly_unpacked_file_is_not_changed(written: int, changed: bool, tmp_path: Path) -> None:
    """Seconds: WHEEL was unpacked at 0 and the last file at 300, and the package was installed at 2000."""
    info = tmp_path / "lib" / "python3.7" / "site-packages" / "listed-1.0.dist-info"
    info.mkdir(parents=True)
    vendored = "vendored/other-1.0.dist-info/RECORD"  # a name that uv copies and does not link
    own = [f"{info.name}/WHEEL", f"{info.name}/INSTALLER"]
    sizes = {"last.py": 0, "wrong.py": 7, **dict.fromkeys([*own, vendored, "../../../bin/tool"], 0)}
    times = dict(zip(sizes, (300, written, 0, 2000, 2000, 2000), strict=True))
    lines = "".join(f"{file},sha256=x,{size}\n" for file, size in sizes.items())
    for folder in (tmp_path / "bin", (info.parent / vendored).parent):
        folder.mkdir(parents=True)
    for file, time in times.items():
        (info.parent / file).touch()
        os.utime(info.parent / file, (time, time))
    (info / "RECORD").write_text(lines)
    os.utime(info / "RECORD", (2000, 2000))
    (package,) = installed(tmp_path).values()
    (difference,) = package.differences()
    assert (difference.path, difference.changed) == ("wrong.py", changed)


@pytest.mark.parametrize(("absent", "deleted"), [((), ("listed: gone.py is missing",)), (("gone.py",), ())])
def test_files_that_a_wheel_never_brought_are_not_deleted(
    absent: tuple[str, ...], deleted: tuple[str, ...], tmp_path: Path
) -> None:
    """Older versions of uv keep such a line of the wheel's list."""
    info = tmp_path / "lib" / "python3.7" / "site-packages" / "listed-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "RECORD").write_text("gone.py,sha256=x,7\n")
    (tmp_path / "requirements.txt").write_text("listed==1.0\n")
    recipe = Recipe.of(InstallRequest("1.15"), "3.7")
    Environment(tmp_path, recipe, "3.7.16", "", "2026-01-01", 0, absent).save()
    environment = store.read(tmp_path)
    assert environment is not None
    assert drift.of(environment).deleted == deleted


def test_packages_with_all_that_they_need(tmp_path: Path) -> None:
    required = {
        "tensorflow": ["numpy>=1.16", "Keras_Applications ; python_version < '3.8'", "later ; python_version > '3.8'"],
        "keras-applications": ["h5py", "pytest ; extra == 'tests'"],
        "numpy": [],
        "h5py": ["numpy"],
        "pytest": [],
        "later": [],
    }
    for name, lines in required.items():
        info = tmp_path / "lib" / "python3.7" / "site-packages" / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        described = ["Metadata-Version: 2.1", f"Name: {name}", *(f"Requires-Dist: {line}" for line in lines)]
        (info / "METADATA").write_text("\n".join(described))
    needed = needed_by(["tensorflow", "tensorflow-cpu"], installed(tmp_path), "3.7")
    assert needed == {"tensorflow", "numpy", "keras-applications", "h5py"}


def test_versions_beside_the_verified_ones(tmp_path: Path) -> None:
    """By the lock for the machine that it is for."""
    verified = releases.find("1.15.5").lock or ""
    changed = verified.replace("numpy==1.18.5", "numpy==1.16.4")
    added = locks.joined(["pandas==1.1.5"], {"pandas==1.1.5": ["0" * 64]})
    (tmp_path / "requirements.txt").write_text(changed + added)
    recipe = Recipe.of(InstallRequest("1.15.5", extras=("numpy==1.16.4",)), "3.7")
    (found,) = differing.of(tmp_path / "requirements.txt", recipe)
    assert str(found) == "numpy 1.18.5 -> 1.16.4"
    assert differing.of(tmp_path / "requirements.txt", replace(recipe, as_of="2020-01-01")) == ()
    assert differing.of(tmp_path / "none.txt", recipe) == ()
    many = [Differing(f"a{number}", "1", "2") for number in range(9)]
    assert differing.listed([*many, found], first=["numpy"]).startswith("numpy 1.18.5 -> 1.16.4, a0 1 -> 2, ")
    assert differing.listed([*many, found], first=["numpy"]).endswith(", a6 1 -> 2, and 2 more")
