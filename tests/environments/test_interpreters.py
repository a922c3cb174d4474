"""The Python for an order: which are found and which are passed over, what a user may name, what is fetched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tfprovisioner.catalogue import releases as catalogue
from tfprovisioner.conda import search
from tfprovisioner.errors import BuildFailed, NoInterpreter
from tfprovisioner.kernelspecs import listing
from tfprovisioner.pythons import find as survey
from tfprovisioner.pythons.choose import Interpreter
from tfprovisioner.pythons.find import Python
from tfprovisioner.requirements import request
from tfprovisioner.requirements.request import InstallRequest
from tfprovisioner.system import uv

_TF1, _TF2 = catalogue.find("tf1"), catalogue.find("tf2")

_HERE = survey.ask(Path(sys.executable))


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def claiming(**facts: object) -> str:
    """A program that answers as the Python that runs the tests does, but for some facts."""
    answer = json.dumps({**vars(_HERE), **facts})
    return f"cat <<'END'\ntfkernels-answer {answer}\nEND"


def python(version: str, **facts: object) -> Python:
    numbers = [int(part) for part in version.split(".")[:3]]
    facts = {"path": f"/python/{version}", "virtual": False, "conda": False, **facts}
    return replace(_HERE, version=version, numbers=numbers, **facts)  # type: ignore[arg-type]


def forget() -> None:
    """What a search found belongs to the variables that it was made with."""
    for cached in (survey._installs, survey._answer, survey._search):
        cached.cache_clear()


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user with an empty home, whose PATH is one folder."""
    for name in list(os.environ):
        if name.startswith(("CONDA", "MAMBA", "PYENV", "ASDF", "UV_PYTHON", "HOMEBREW")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    forget()
    yield tmp_path
    forget()


def found() -> list[str]:
    """What is found but for what every user of this machine has, and the Python that runs the tests."""
    own = os.path.realpath(sys.executable)
    paths = [python.path for python in survey._search.__wrapped__()]
    assert own in [os.path.realpath(path) for path in paths]
    return [path for path in paths if path != own and not path.startswith(("/opt", "/usr"))]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("echo 'pyenv: python3.7: command not found' >&2; exit 127", "not a Python that works: pyenv: python3.7"),
        ("echo Python 3.7.16", "not a Python that works: Python 3.7.16"),
        ("echo tfkernels-answer 5", "not a Python that works"),
        (claiming(path="/nowhere/python"), "not a Python that works"),
        ("exit 3", "exit code 3"),
    ],
)
def test_what_only_looks_like_a_python(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(NoInterpreter, match=told):
        survey.ask(program(tmp_path / "python3.7", text))


def test_a_hanging_python_is_killed_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "TIMEOUT", 0.5)
    shim = program(tmp_path / "python3.7", f"echo $$ > {tmp_path}/pid; sleep 60; true")
    started = time.monotonic()
    with pytest.raises(NoInterpreter, match="did not answer"):
        survey.ask(shim)
    assert time.monotonic() - started < 30, "the limit, not what it waits for"
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"implementation": "pypy"}, "it is pypy"),
        ({"bits": 32}, "32-bit"),
        ({"machine": "ppc64"}, "made for ppc64"),
        ({"free_threaded": True}, "free-threaded"),
    ],
)
def test_pythons_without_wheels_are_never_chosen(nobody: Path, facts: dict[str, object], told: str) -> None:
    odd = program(nobody / "bin" / "python3.13", f"PATH=/usr/bin:/bin\n{claiming(**facts)}")
    good = program(nobody / "bin" / "python3.12", f"PATH=/usr/bin:/bin\n{claiming(virtual=False)}")
    assert survey.ask(good).objection() is None
    assert survey.ask(odd).objection() is not None
    assert found() == [_HERE.path]
    with pytest.raises(NoInterpreter, match=told):
        InstallRequest("tf2", python=str(odd)).choose_interpreter()


def test_the_newest_final_lasting_python_wins() -> None:
    several = [
        python("3.13.1"),
        python("3.13.10", path="/a/venv/python", virtual=True),
        python("3.13.10", path="/a/conda/python", conda=True),
        python("3.13.10", path="/a/very/long/way/to/a/python"),
        python("3.13.10"),
        python("3.13.11", final=False),
    ]
    paths = [one.path for one in sorted(several, key=survey._rank)]
    assert paths == [
        "/python/3.13.10",
        "/a/very/long/way/to/a/python",
        "/a/conda/python",
        "/a/venv/python",
        "/python/3.13.1",
        "/python/3.13.11",
    ]


def test_version_manager_shims_are_resolved(nobody: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = nobody / "manager"
    marker = nobody / "was_run"
    program(root / "shims" / "python3.7", f"touch {marker}")
    real = root / "installs" / "python" / "3.11" / "bin" / "python3"
    real.parent.mkdir(parents=True)
    real.symlink_to(os.path.realpath(sys.executable))
    monkeypatch.setenv("PATH", str(root / "shims"))
    assert real in survey._candidates()
    found()
    assert not marker.exists(), "a shim takes longer than the search for all others"


def test_conda_environments_are_found_wherever_they_are_named(nobody: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def environment(folder: Path) -> Path:
        (folder / "conda-meta").mkdir(parents=True)
        (folder / "conda-meta" / "history").touch()
        program(folder / "bin" / "python", claiming(path=sys.executable))
        return folder

    listed = environment(nobody / "anywhere" / "listed")
    (nobody / ".conda").mkdir()
    (nobody / ".conda" / "environments.txt").write_text(f"{listed}\n{nobody}/gone\n\n")
    active = environment(nobody / "root" / "envs" / "active")
    sibling = environment(nobody / "root" / "envs" / "sibling")
    base = environment(nobody / "root")
    monkeypatch.setenv("CONDA_PREFIX", str(active))
    of_mamba = environment(nobody / "mamba" / "envs" / "one")
    (nobody / "mamba" / "envs" / "not_one").mkdir()
    monkeypatch.setenv("MAMBA_ROOT_PREFIX", str(nobody / "mamba"))
    usual = environment(nobody / "miniforge3")
    kept = environment(nobody / ".conda" / "envs" / "kept")

    here = {path for path in search.environments() if path.is_relative_to(nobody)}
    assert here == {path.resolve() for path in (listed, active, sibling, base, of_mamba, usual, kept)}
    assert set(search.pythons()) >= {folder.resolve() / "bin" / "python" for folder in here}


def test_homebrews_older_pythons_are_found(nobody: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = nobody / "brew" / "opt" / "python@3.9" / "bin"
    kept.mkdir(parents=True)
    (kept / "python3.9").symlink_to(sys.executable)
    (kept / "python3.9-config").touch()
    monkeypatch.setenv("HOMEBREW_PREFIX", str(nobody / "brew"))
    assert [path for path in survey._homebrew() if path.is_relative_to(nobody)] == [kept / "python3.9"]


def test_all_are_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    survey.pythons()
    monkeypatch.setattr(subprocess, "Popen", None)
    for release in catalogue.releases():
        InstallRequest(release.line).choose_interpreter()


def test_only_plausible_pythons_are_started(nobody: Path) -> None:
    asked = nobody / "asked"
    for name in ("python3.7", "python3.9", "python3", "python"):
        program(nobody / "bin" / name, f"echo {name} >> {asked}\n{claiming(version='3.9.1', numbers=[3, 9, 1])}")
    survey._search.__wrapped__("3.9")
    assert sorted(asked.read_text().split()) == ["python", "python3", "python3.9"]


def test_a_named_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "pythons", lambda minor=None: (python("3.13.2"), python("3.12.1"), python("3.10.5")))

    def version(text: str) -> str:
        return InstallRequest("tf2", python=text).choose_interpreter().version

    assert version("3") == "3.13.2"
    assert version("3.12") == version("3.12.1") == "3.12.1"
    assert InstallRequest("tf2", python="3.12.7").choose_interpreter() == Interpreter("3.12.7", None, "uv")
    for wrong in ("3.7", "3.1", "2"):
        with pytest.raises(NoInterpreter, match=rf"no wheels for Python {wrong}; it has for Python 3\.13, 3\.12"):
            version(wrong)
    for path, told in ((tmp_path / "nothing", "There is no Python at"), (tmp_path, "There is no Python at")):
        with pytest.raises(NoInterpreter, match=told):
            version(str(path))
    with pytest.raises(NoInterpreter, match=r"2\.21\.0 has no wheels for Python 3\.7\.1 .*it has for"):
        version(str(program(tmp_path / "old", claiming(version="3.7.1", numbers=[3, 7, 1]))))


def test_an_environments_folder_names_its_python(tmp_path: Path) -> None:
    folder = tmp_path / "env"
    folder.joinpath("bin").mkdir(parents=True)
    program(folder / "bin" / "python", claiming(version="3.12.9", numbers=[3, 12, 9]))
    chosen = InstallRequest("tf2", python=str(folder)).choose_interpreter()
    assert chosen == Interpreter("3.12.9", Path(_HERE.path))
    assert InstallRequest("tf2", python=str(folder)).python_minors() == ("3.12",)


def test_named_pythons_do_not_depend_on_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    program(tmp_path / "bin" / "python3.12", "true")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert request.lasting("3.12") == "3.12"
    assert request.lasting("bin/python3.12") == request.lasting("python3.12") == str(tmp_path / "bin" / "python3.12")
    assert request.lasting("bin") == str(tmp_path / "bin")
    assert "--python 3.12" in InstallRequest("tf2", python="3.12").command


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """uv was told nothing; returns the folder for its ``uv.toml``."""
    said = ("UV_PYTHON_DOWNLOADS", "UV_PYTHON_PREFERENCE", "UV_NO_MANAGED_PYTHON", "UV_OFFLINE")
    for name in (*said, "UV_CONFIG_FILE", "UV_NO_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("TFKERNELS_HOME", str(tmp_path / "home"))
    (tmp_path / "uv").mkdir()
    return tmp_path / "uv"


def test_what_the_machine_lacks_is_fetched(unset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "pythons", lambda minor=None: (python("3.11.1"),))
    assert InstallRequest("tf2").choose_interpreter().version == "3.11.1", "what is here goes before what is preferred"
    monkeypatch.setattr(survey, "pythons", lambda minor=None: ())
    assert InstallRequest("tf2").choose_interpreter() == Interpreter("3.13", None, "uv")
    assert InstallRequest("tf1").choose_interpreter() == Interpreter("3.7", None, "conda"), "uv has none before 3.8"


@pytest.mark.parametrize(
    ("variable", "toml", "told"),
    [
        ("UV_OFFLINE=1", "", "UV_OFFLINE"),
        ("UV_PYTHON_DOWNLOADS=never", "", "UV_PYTHON_DOWNLOADS.* says 'never'"),
        ("UV_PYTHON_DOWNLOADS=manual", 'python-downloads = "automatic"', "UV_PYTHON_DOWNLOADS.* says 'manual'"),
        ("", 'python-downloads = "never"', "`python-downloads` in uv.toml, says 'never'"),
        ("", "offline = true", "`offline` in uv.toml"),
        ("UV_PYTHON_PREFERENCE=only-system", "", "only the system's are to be used .*UV_PYTHON_PREFERENCE"),
        ("UV_NO_MANAGED_PYTHON=1", "", "UV_NO_MANAGED_PYTHON"),
        ("", 'python-preference = "only-system"', "`python-preference` in uv.toml"),
    ],
)
def test_nothing_is_fetched_if_uv_may_not(
    unset: Path, monkeypatch: pytest.MonkeyPatch, variable: str, toml: str, told: str
) -> None:
    monkeypatch.setattr(survey, "pythons", lambda minor=None: ())
    if variable:
        monkeypatch.setenv(*variable.split("="))
    (unset / "uv.toml").write_text(toml)
    for name, minor in (("tf1", r"3\.7"), ("tf2", r"3\.13")):
        expected = rf"needs Python {minor}.*neither by uv nor from conda-forge, because.*{told}.*pyenv install {minor}"
        with pytest.raises(NoInterpreter, match=expected):
            InstallRequest(name).choose_interpreter()
    in_conda = InstallRequest("tf1", backend="conda").choose_interpreter()
    assert in_conda.source == "conda", "whoever asks for conda's packages asks for its Python"


@pytest.mark.parametrize("way", ["variable", "uv.toml"])
@pytest.mark.parametrize("preference", ["system", "managed", "only-managed"])
def test_uvs_python_preference_does_not_prevent_fetching(
    unset: Path, monkeypatch: pytest.MonkeyPatch, way: str, preference: str
) -> None:
    monkeypatch.setattr(survey, "pythons", lambda minor=None: ())
    if way == "variable":
        monkeypatch.setenv("UV_PYTHON_PREFERENCE", preference)
    else:
        (unset / "uv.toml").write_text(f'python-preference = "{preference}"')
    assert InstallRequest("tf2").choose_interpreter() == Interpreter("3.13", None, "uv")
    monkeypatch.setenv("UV_OFFLINE", "1")  # as far as without the network
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(unset / "none"))
    with pytest.raises(BuildFailed, match="offline mode"):
        uv.run(["venv", "--no-project", str(unset / "new"), "--python", "3.9", "--managed-python"], unset, print)


def test_releases_say_why_one_cannot_be_had(unset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "pythons", lambda minor=None: (python("3.11.1"),))
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    rows = {row.line: row for row in listing.releases()}
    assert (rows["2.15"].available, rows["2.15"].source) == (True, "found")
    assert (rows["1.15"].available, rows["1.15"].source) == (False, None)
    assert rows["1.15"].here == "no Python 3.7 or 3.6 found, and downloads are off"

    monkeypatch.setattr(catalogue, "platform_name", lambda: "windows-x86_64")
    rows = {row.line: row for row in listing.releases()}
    assert (rows["1.4"].available, rows["1.4"].source) == (False, None), "its newest patch has none, whatever there is"
    assert rows["1.4"].here == "no wheels for windows-x86_64"
    assert rows["2.15"].available


def test_the_conda_backend_takes_versions_only(tmp_path: Path) -> None:
    assert InstallRequest("tf2", backend="conda").choose_interpreter() == Interpreter("3.13", None, "conda")
    assert InstallRequest("tf2", backend="conda", python="3.11.4").choose_interpreter().version == "3.11.4"
    with pytest.raises(NoInterpreter, match="takes Python from its channels"):
        InstallRequest("tf2", backend="conda", python=str(tmp_path)).choose_interpreter()


def test_releases_say_how_each_can_be_had() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tfprovisioner", "releases", "--json"], capture_output=True, text=True, check=True
    )
    for row in json.loads(done.stdout):
        assert row["available"] == (row["source"] is not None)
        assert row["source"] in ("found", "uv", "conda")
        assert row["here"].startswith("Python 3.")
