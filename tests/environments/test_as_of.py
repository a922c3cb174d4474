"""Packages as of a day, from an index with upload times, and the day of a repository."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import package_index
from tests.support.commands import built, nothing_is_there
from tests.support.package_index import Index
from tfprovisioner.environments import run_checks
from tfprovisioner.errors import Unusable
from tfprovisioner.progress import Reporter
from tfprovisioner.requirements.request import InstallRequest
from tfprovisioner.resolution import as_of, resolve, uv_resolution

Install = Callable[..., tuple[int, str]]

_DAYS = {"keras-2.2.4": "2018-10-03", "keras-2.3.0": "2021-01-07", "setuptools-59.0": "2021-12-01"}


@pytest.fixture
def dated(index: Index, place: Path) -> Index:
    """The index of the tiny release, with upload times and what kernels have beside TensorFlow."""
    others = (
        "protobuf-3.20",
        "protobuf-4.21",
        "matplotlib-3.0",
        "pip-20.0",
        "ipywidgets-8.1.0",
        "tqdm-4.0",
        "late-1.0",
    )
    for name, version in (stem.split("-") for stem in (*_DAYS, *others)):
        package_index.wheel(place / "wheels", name, version, {f"{name}.py": ""})
    days = {**_DAYS, "late-1.0": "2021-01-07"}
    index.uploaded = {f"{stem}-py3-none-any.whl": day for stem, day in days.items()}
    return index


def test_packages_are_those_of_the_day(
    dated: Index, install: Install, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, said = install("--index", dated.url, "--as-of", "2021-01-06", "--with", "numpy")
    assert (code, "no kernel starts in it" in said) == (1, True), "the stand-in for ipykernel cannot"
    assert nothing_is_there(place)
    monkeypatch.setattr(run_checks, "kernel_error", lambda python: None)
    code, said = install("--index", dated.url, "--as-of", "2021-01-06", "--with", "keras,numpy,protobuf")
    assert code == 0, said
    assert "packages as of 2021-01-06, except for setuptools 59.0 (older ones build and install nothing" in said
    assert "; protobuf 3.20 in place of 4.21 (4 removed what TensorFlow's generated code calls" in said
    (record,) = built(place)
    lock = (record.parent / "requirements.txt").read_text(encoding="utf-8")
    assert "keras==2.2.4" in lock
    assert "setuptools==59.0" in lock
    spec = json.loads((place / "jupyter" / "kernels" / "tf1" / "kernel.json").read_text(encoding="utf-8"))
    assert spec["metadata"]["tfkernels"]["order"]["as_of"] == "2021-01-06"
    code, said = install("--index", dated.url)
    assert (code, "already there" in said, "as in the last install: --as-of 2021-01-06" in said) == (0, True, True)


def test_a_package_of_a_later_day_is_named(dated: Index, install: Install, place: Path) -> None:
    code, said = install("--index", dated.url, "--as-of", "2021-01-06", "--with", "late")
    assert code == 1
    assert "  late: the index had no late on that day\n" in said
    assert "A package had no fitting version on that day." in said
    assert nothing_is_there(place)


def test_an_index_without_days_is_named(dated: Index, install: Install, place: Path) -> None:
    dated.uploaded = {}
    for more in ((), ("--with", "keras")):
        code, said = install("--index", dated.url, "--as-of", "2021-01-06", *more)
        assert code == 1
        assert "the index does not say when its files were uploaded, and --as-of needs that" in said
    assert nothing_is_there(place)


def test_files_of_a_folder_have_no_day(dated: Index, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    package_index.wheel(folder, "mine", "1.0", {"mine.py": ""})
    os.environ.update(UV_FIND_LINKS=str(folder), UV_DEFAULT_INDEX=dated.url)  # the fixture takes them back
    request = InstallRequest("tf1", as_of="2021-01-06", extras=("mine",))
    interpreter = request.choose_interpreter()
    assert interpreter.path is not None
    resolve.lock(request, interpreter, interpreter.path, tmp_path, Reporter("tf1"))
    assert "; mine 1.0 (the day is unknown)" in capfd.readouterr().err


def test_conda_packages_have_no_day(install: Install, place: Path) -> None:
    code, said = install("--as-of", "2021-01-06", "--backend", "conda")
    assert code == 1
    assert "Choose --backend uv, or drop the day: --as-of usual" in said


def git(folder: Path, *arguments: str, day: str = "2019-03-01T23:30:00-05:00") -> None:
    who = {f"GIT_{role}_{what}": "a@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    subprocess.run(
        ["git", "-C", str(folder), *arguments], check=True, capture_output=True,
        env={**os.environ, **who, "GIT_COMMITTER_DATE": day},
    )  # fmt: skip


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """With two commits; the later one's day is 2019-03-02 in UTC."""
    folder = tmp_path / "paper"
    (folder / "code").mkdir(parents=True)
    (folder / "code" / "requirements.txt").write_text("keras\n", encoding="utf-8")
    git(folder, "init")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "first", day="2018-01-01T00:00:00Z")
    git(folder, "commit", "--allow-empty", "-m", "second")
    return folder


def test_the_day_of_a_repository_is_its_last_commits(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/nowhere")  # as in a hook
    assert as_of.day("git", [repository / "code" / "requirements.txt"]) == "2019-03-02"
    monkeypatch.chdir(repository)
    assert as_of.day("git") == "2019-03-02"


def test_no_program_of_a_repository_runs(repository: Path, tmp_path: Path) -> None:
    program, ran = tmp_path / "program", tmp_path / "ran"
    program.write_text(f"#!/bin/sh\ntouch '{ran}'\n", encoding="utf-8")
    program.chmod(0o755)
    signed = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor a <a> 1 +0000\ncommitter a <a> 1551501000 +0000\n"
    signed += "gpgsig -----BEGIN PGP SIGNATURE-----\n \n -----END PGP SIGNATURE-----\n\nsigned\n"
    written = subprocess.run(
        ["git", "-C", str(repository), "hash-object", "-t", "commit", "-w", "--stdin", "--literally"],
        input=signed, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    git(repository, "update-ref", "HEAD", written)
    for name in ("core.fsmonitor", "gpg.program", "core.pager", "core.sshCommand", "core.hooksPath"):
        git(repository, "config", name, str(program))
    git(repository, "config", "log.showSignature", "true")
    subprocess.run(["git", "-C", str(repository), "log", "-1"], capture_output=True, check=False)
    assert ran.exists(), "git itself runs them"
    ran.unlink()
    assert as_of.day("git", [repository / "file"]) == "2019-03-02"
    assert not ran.exists()


def test_folders_without_a_commit_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unusable, match=r"is unknown: fatal: not a git repository.*Give a date: --as-of 2018-11-30"):
        as_of.day("git", [tmp_path / "requirements.txt"])
    git(tmp_path, "init")
    with pytest.raises(Unusable, match="does not have any commits yet"):
        as_of.day("git", [tmp_path / "requirements.txt"])
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unusable, match="The program git cannot be started"):
        as_of.day("git", [tmp_path / "requirements.txt"])


def test_known_versions_of_a_day(tmp_path: Path) -> None:
    """The real index: what pip installed on 2018-11-30."""
    request = InstallRequest("1.12", as_of="2018-11-30", extras=("keras", "scikit-learn"))
    interpreter = request.choose_interpreter()
    assert interpreter.path is not None
    text = resolve.lock(request, interpreter, interpreter.path, tmp_path, Reporter("tf1.12"))
    found = uv_resolution.pinned(text, interpreter.version)
    known = {
        "tensorflow": "1.12.0",
        "keras": "2.2.4",
        "scikit-learn": "0.20.1",
        "numpy": "1.15.4",
        "ipykernel": "5.1.0",
    }
    assert {name: found[name] for name in known} == known
