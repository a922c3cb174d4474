"""The catalogue: what may be asked for, and that all of it agrees with the rules it is made from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from catalogue_builder import page
from catalogue_builder.resolve_locks import heading_of
from tfprovisioner.catalogue import locks, verified
from tfprovisioner.catalogue import releases as catalogue
from tfprovisioner.catalogue.releases import Release
from tfprovisioner.environments import bounds
from tfprovisioner.errors import NoWheels, UnknownRelease
from tfprovisioner.gpu import cuda

_LINES = [*(f"1.{minor}" for minor in range(16)), *(f"2.{minor}" for minor in range(22))]


def test_every_line_is_known() -> None:
    assert list(catalogue.lines()) == _LINES
    assert all(release.line == line for line, release in catalogue.lines().items())
    assert len(catalogue.releases()) >= 100


@pytest.mark.parametrize(
    ("request_", "version", "kernel"),
    [
        ("tf1", "1.15.5", "tf1"),
        ("TF2", "2.21.0", "tf2"),
        ("1.15", "1.15.5", "tf1.15"),
        ("1.0", "1.0.1", "tf1.0"),
        ("tf2.21", "2.21.0", "tf2.21"),
        ("2.11.0", "2.11.0", "tf2.11.0"),
        ("1.15.0", "1.15.0", "tf1.15.0"),
        ("2.15.0.post1", "2.15.0.post1", "tf2.15.0.post1"),
        (" tf1.15.5 ", "1.15.5", "tf1.15.5"),
    ],
)
def test_requests(request_: str, version: str, kernel: str) -> None:
    release = catalogue.find(request_)
    assert release.version == version
    assert release.known
    assert catalogue.kernel_name(request_) == kernel


@pytest.mark.parametrize(
    ("request_", "hint"),
    [
        ("1.16", "1.15 or 1.14"),
        ("0.12", "1.0 or 1.1"),
        ("3.7", "2.21 or 2.20"),
        ("2.16.0", "2.16 or 2.16.1 or 2.16.2"),
        ("2", "tf2 or 2.0"),
        ("tf1.5x", "1.5"),
    ],
)
def test_what_there_is_not_names_the_nearest(request_: str, hint: str) -> None:
    message = f"no TensorFlow release {re.escape(repr(request_))}. Did you mean {re.escape(hint)}.*tfkernels releases"
    with pytest.raises(UnknownRelease, match=message):
        catalogue.find(request_)


@pytest.mark.parametrize("request_", ["2.22", "2.22.0", "2.99.1", "2.21.1"])
def test_later_releases_use_the_newest_rules(request_: str) -> None:
    newest, release = catalogue.find("tf2"), catalogue.find(request_)
    assert not release.known
    assert release.lock is None
    assert release.pythons == newest.pythons
    exactly = request_ if request_.count(".") == 2 else f"{request_}.*"
    assert list(release.requirements) == [
        requirement.replace(f"=={newest.version}", f"=={exactly}") for requirement in newest.requirements
    ]
    assert "nothing else was tried" in str(catalogue.caution(release, "3.13"))
    assert f"by the rules of {newest.version}." in str(catalogue.caution(release, "3.13"))
    patch = catalogue.find("2.15.2")
    assert "2.15.2 is newer than this tfkernels, and was installed by the rules of 2.15.1." in str(
        catalogue.caution(patch, "3.11")
    )


def test_releases_without_wheels_here_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue.require_wheels(catalogue.find("2.21"))
    monkeypatch.setattr(catalogue, "platform_name", lambda: "windows-x86_64")
    with pytest.raises(NoWheels, match=r"1\.4\.1 cannot be installed on windows-x86_64.*Of the same line, 1\.4\.0 has"):
        catalogue.require_wheels(catalogue.find("1.4"))


@pytest.mark.parametrize("release", catalogue.releases(), ids=lambda release: release.version)
def test_locks(release: Release) -> None:
    """Pinned, hashed, within the bounds of the table, and made from the table as it is now."""
    assert locks.comments(release.version) == heading_of(release), "run: make catalogue ARGUMENTS=--resume"
    text = release.lock
    assert text is not None
    assert "http" not in text, "which index is used is the user's choice"
    pins, hashes = locks.split(text)
    assert len(pins) > 30
    assert all(hashes.values())
    pinned: dict[str, list[Version]] = {}
    for pin in pins:
        requirement = Requirement(pin)
        (specifier,) = requirement.specifier
        assert specifier.operator == "=="
        pinned.setdefault(requirement.name, []).append(Version(specifier.version))
    for constraint in map(Requirement, release.constraints):
        for version in pinned.get(constraint.name, []):
            assert constraint.specifier.contains(version), (constraint, version)
    for package in release.build_from_source:
        assert len(pinned.get(package, ["unused"])) == 1, "from source on one Python is from source on all"


@pytest.mark.parametrize("release", catalogue.lines().values(), ids=lambda release: release.version)
def test_every_lock_has_one_tensorflow_and_ipykernel(release: Release) -> None:
    text = release.lock
    assert text is not None
    for platform in release.platforms:
        for python in release.pythons:
            names = [pin.split("==")[0] for pin in locks.chosen(text, python, platform)]
            assert len(names) == len(set(names))
            assert {"ipykernel", "ipython", "matplotlib", "pip", "setuptools", "numpy", "protobuf"} <= set(names)
            assert len({"tensorflow", "tensorflow-cpu"} & set(names)) == 1, (platform, python)


def test_every_line_was_verified_with_its_lock() -> None:
    for release in catalogue.lines().values():
        result = release.result(release.pythons[0])
        assert result is not None, f"run: make catalogue ARGUMENTS='--resume --only {release.line}'"
        assert {"install", "import", "op", "fit", "lstm", "h5", "data", "tensorboard", "kernel"} <= set(result.checks)
        assert result.ok, (release.version, result.checks)
        assert catalogue.caution(release, release.pythons[0]) is None


def test_the_page_says_what_came_out() -> None:
    assert page.FILE.read_text(encoding="utf-8") == page.text(), "run: make catalogue ARGUMENTS=--resume"


def test_every_release_has_one_toolkit() -> None:
    for release in catalogue.releases():
        cuda.toolkit(release.version)
    assert cuda.toolkit("1.15.5").cuda == "10.0"
    assert cuda.toolkit("2.22").cudnn == cuda.toolkit("2.21.0").cudnn


def test_a_result_holds_for_what_was_installed_only(monkeypatch: pytest.MonkeyPatch) -> None:
    release = catalogue.find("1.15")
    assert release.result("3.7") is not None
    monkeypatch.setattr(verified, "fingerprint", lambda pins: "another")
    assert release.result("3.7") is None


@pytest.mark.parametrize(
    ("tensorflow", "package", "late"),
    [
        ("tensorflow_cpu-1.15.0", "h5py-3.8.0", [True]),
        ("tensorflow-2.4.4", "numpy-1.21.6", [True]),
        ("tensorflow-1.15.0", "protobuf-4.21.0", [False]),
        ("tensorflow-2.15.0.post1", "numpy-2.0.0", [False]),
        ("tensorflow-1.15.0", "numpy-1.19.5", []),
        ("tensorflow-2.15.0", "setuptools-81.0.0", []),
        ("tensorflow-2.15.0", "setuptools-82.0.1", [True]),
        ("tensorflow-2.18.0", "numpy-2.0.0", []),
        ("tensorflow-1.15.5+nv23.3", "numpy-1.21.6", []),
        ("tensorflow-of.mine", "numpy-1.21.6", []),
        ("tensorflow-1.15.0", "numpy-unknown", []),
        ("keras-2.4.0", "numpy-2.0.0", []),
    ],
)
def test_bounds_hold_for_any_environment(tensorflow: str, package: str, late: list[bool], tmp_path: Path) -> None:
    for name in (tensorflow, package):
        (tmp_path / f"{name}.dist-info").mkdir()
    assert [one.late for one in bounds.outside([tmp_path])] == late
