"""New environments of files that the catalogue was verified with are looked at; all others are imported."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from uv import find_uv_bin

from tests.support import package_index
from tests.support.commands import built, nothing_is_there
from tfprovisioner.catalogue import locks, releases, verified
from tfprovisioner.catalogue.verified import Result
from tfprovisioner.environments import run_checks, store
from tfprovisioner.errors import BadRequirement
from tfprovisioner.kernelspecs import doctor, install
from tfprovisioner.requirements.request import InstallRequest

Build = Callable[..., tuple[int, str]]

_LOOK = "checking: its files, TensorFlow's libraries"
_IMPORT = "checking: importing TensorFlow, running an op"
_ANEW = "fetching packages anew whose files were edited in uv's cache"


@pytest.fixture
def build(index: package_index.Index, install: Build) -> Build:
    """``tfkernels install tf1 --user …`` from the index of the tiny release."""
    return lambda *arguments: install(*arguments, "--index", index.url)


@pytest.fixture
def result(index: package_index.Index, monkeypatch: pytest.MonkeyPatch) -> Result:
    """The tiny release passed all of the catalogue's checks here."""
    release = releases.find("tf1")
    python, platform = release.pythons[0], releases.platform_name()
    assert release.lock is not None
    lock = verified.fingerprint(locks.chosen(release.lock, python, platform))
    checks = dict.fromkeys(("import", "op", "kernel"), "ok")
    result = Result(release.version, python, lock, platform, "2026-01-01", checks)
    hand_out(result, monkeypatch)
    return result


@pytest.fixture
def cached(build: Build, result: Result) -> Build:
    """The same, of a verified release whose files are all in uv's cache."""
    code, said = build("--name", "first")
    assert code == 0, said
    install.remove("first")
    return build


def hand_out(result: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verified, "read", lambda: {(result.version, result.python): result})


def test_what_was_verified_is_looked_at(cached: Build, place: Path) -> None:
    code, said = cached()
    assert code == 0, said
    assert _LOOK in said
    assert _IMPORT not in said
    (record,) = built(place)
    environment = store.load(record.parent)
    assert environment is not None
    findings = doctor.examine("tf1").findings
    assert findings is not None, "which imports it"
    assert environment.python_version == findings.python
    assert environment.size > 0


def test_what_was_just_fetched_is_imported(build: Build, result: Result, place: Path) -> None:
    """That costs nothing beside the download, and leaves compiled modules for all that follow."""
    code, said = build()
    assert code == 0, said
    assert _IMPORT in said
    assert _LOOK not in said
    (first,) = built(place)
    modules = compiled(first.parent)
    assert any(name.startswith("__init__.cpython") for name in modules)
    python = (first.parent / "bin" / "python").resolve()
    code, said = build("--python", str(python), "--name", "another")
    assert code == 0, said
    assert _IMPORT not in said
    (second,) = set(built(place)) - {first}
    assert compiled(second.parent) == modules, "the same files"


def compiled(folder: Path) -> dict[str, int]:
    """The compiled modules of an environment, each with the file that it is."""
    return {path.name: path.stat().st_ino for path in folder.rglob("*.pyc")}


@pytest.mark.parametrize(
    "changes",
    [{"platform": "linux-aarch64"}, {"lock": "0123456789abcdef"}, {"checks": {"import": "ok", "op": "it hangs"}}],
    ids=["on another platform", "in other versions", "and did not work"],
)
def test_what_was_not_verified_is_imported(
    cached: Build, result: Result, changes: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_out(replace(result, **changes), monkeypatch)  # type: ignore[arg-type] # a field's value of any type
    code, said = cached()
    assert code == 0, said
    assert _IMPORT in said
    assert _LOOK not in said


def test_a_lock_with_something_beside_it_is_imported(cached: Build, index: package_index.Index) -> None:
    package_index.wheel(index.folder, "extra", "1.0", {"extra.py": ""})
    for extra in ("extra", "numpy"):
        for number in range(2):  # the second time, it is in the cache as well
            code, said = cached("--with", extra, "--name", "one")
            assert code == 0, said
            beside = extra == "extra"  # the lock itself has the other one
            assert (_IMPORT in said, _LOOK in said) == (beside, not beside), (extra, number)
            install.remove("one")


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("raise ImportError('needs a newer\\nTensorFlow.')", "ImportError: needs a newer TensorFlow. Nothing"),
        ("raise OSError('x.so: undefined symbol: y')", "OSError: x.so: undefined symbol: y. Nothing"),
        ("import os; os.abort()", "(exit code -6). Nothing"),
    ],
)
def test_added_packages_that_cannot_be_imported_are_refused(
    cached: Build, index: package_index.Index, place: Path, source: str, error: str
) -> None:
    wheel = package_index.wheel(index.folder, "an_extra", "1.0", {"extra.py": source})
    code, said = cached("--with", f"an-extra<2 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}")
    assert code == 1
    assert "Cannot add 'an-extra<2' to TensorFlow 1.15.5: extra 1.0 cannot be imported: " in said
    assert error in said
    assert said.rstrip().endswith("!pip install 'an-extra<2'")
    assert "perhaps one from 2019-10, when TensorFlow 1.15 was released. Or add --as-of DATE, a day on " in said
    assert built(place) == []
    assert _IMPORT not in cached()[1], "the release itself works"


@pytest.mark.parametrize(
    "error",
    ["OSError: Could not find kaggle.json", "ImportError: no X: Bad display name", "SystemExit: give a key"],
)
def test_packages_that_the_machine_lacks_something_for(
    cached: Build, index: package_index.Index, place: Path, error: str
) -> None:
    kind, _, text = error.partition(": ")
    package_index.wheel(index.folder, "an_extra", "1.0", {"extra.py": f"raise {kind}({text!r})"})
    code, said = cached("--with", "an-extra")
    warning = f"extra 1.0 cannot be imported: {error}. It may need something that this machine lacks"
    assert code == 0, said
    assert f"warning: {warning}" in said
    assert len(built(place)) == 1
    found = doctor.examine("tf1")
    assert (found.ok, found.warnings, found.remedy) == (True, (warning,), None)


def test_doctor_imports_added_packages(build: Build, index: package_index.Index, place: Path) -> None:
    flag = place / "flag"
    source = f"import os\nif os.path.exists({str(flag)!r}): raise ImportError('flag')"
    package_index.wheel(index.folder, "an_extra", "1.0", {"extra.py": source})
    assert build("--with", "an-extra")[0] == 0
    assert doctor.examine("tf1").ok
    (module,) = built(place)[0].parent.rglob("extra.py")
    (module.parent / "by_hand-1.0.dist-info").mkdir()
    flag.touch()
    sick = doctor.examine("tf1")
    assert (sick.problem, sick.remedy) == ("extra 1.0 cannot be imported: ImportError: flag", None)
    flag.unlink()
    module.unlink()
    module.write_text("raise ImportError('libGL.so.1')")
    sick = doctor.examine("tf1")
    assert sick.problem == "extra 1.0 cannot be imported: ImportError: libGL.so.1"
    assert sick.remedy == "tfkernels install tf1 --user --with an-extra --rebuild"


@pytest.mark.parametrize(
    ("package", "problem"),
    [
        ("numpy", "the check 'fit' fails: AttributeError: "),
        ("ipykernel", "no kernel starts in it: ModuleNotFoundError"),
    ],
)
def test_versions_that_do_not_work_are_named(
    cached: Build, index: package_index.Index, place: Path, package: str, problem: str
) -> None:
    """The tiny release imports with each, and runs an op."""
    content = {"numpy": package_index.NUMPY, "ipykernel": "__version__ = '7.0'"}[package]
    files = {f"{package}/__init__.py": content, **({"ipykernel/ipkernel.py": ""} if package == "ipykernel" else {})}
    package_index.wheel(index.folder, package, "7.0", files)
    verified = {"numpy": "1.0", "ipykernel": "6.0"}[package]
    code, said = cached("--with", f"{package}==7.0")
    assert code == 1
    assert f"TensorFlow 1.15.5 does not work with these versions, so nothing was changed: {problem}" in said
    assert f"Differing from the tested versions: {package} {verified} -> 7.0. Ask for other versions" in said
    assert built(place) == []
    assert _IMPORT not in cached()[1], "the release itself works"


def test_other_versions_of_users_work(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With TensorFlow's own checks: the real one."""
    wanted = ("numpy==1.16.2", "h5py==2.9.0", "tensorflow==1.13")
    made = install.install(InstallRequest("1.13", user=True, extras=wanted))
    found = {one.name: f"{one.tested} -> {one.installed}" for one in made.differing}
    assert found["h5py"] == "2.10.0 -> 2.9.0"
    assert found["numpy"] == "1.19.5 -> 1.16.2"
    assert "and parts that use the packages in other versions" in capfd.readouterr().err
    diagnosis = doctor.examine("tf1.13")
    assert diagnosis.ok
    assert diagnosis.warnings == ()
    assert "numpy 1.19.5 -> 1.16.2" in diagnosis.notes[0]


@pytest.mark.slow
def test_the_advised_version_of_a_package_works(place: Path) -> None:
    """Its newest one that goes with the pins wants TensorFlow 2, and only its import says so."""
    with pytest.raises(BadRequirement, match=r"requires TensorFlow version >= 2.*perhaps one from 2019-10"):
        install.install(InstallRequest("1.15", user=True, extras=("tensorflow-probability",)))
    assert nothing_is_there(place)
    assert install.install(InstallRequest("1.15", user=True, extras=("tensorflow-probability==0.8.0",))).built


def test_a_rebuild_is_imported_and_takes_nothing_over(cached: Build, place: Path) -> None:
    """Who asks for one has a reason, which may be a compiled module that a full disk has cut."""
    assert cached()[0] == 0
    (once,) = built(place)
    doctor.examine("tf1")  # which compiles
    (module,) = once.parent.glob("lib/python*/site-packages/tensorflow/__pycache__/__init__.*.pyc")
    module.write_bytes(module.read_bytes()[:40])
    code, said = cached("--rebuild")
    assert code == 0, said
    assert _IMPORT in said
    assert doctor.examine("tf1").ok


def test_edited_cache_files_are_import_checked(cached: Build, place: Path) -> None:
    """Environments share files with the cache: who edits one edits both, and a rebuild brings the edited file back."""
    assert cached()[0] == 0
    (once,) = built(place)
    (module,) = once.parent.glob("lib/python*/site-packages/tensorflow/__init__.py")
    with module.open("a") as file:
        file.write("raise ImportError('edited')\n")
    install.remove("tf1")
    code, said = cached()
    assert code == 1
    assert "some files differ from what their wheels say, so it is imported: tensorflow/__init__.py" in said
    assert "does not work, so it was deleted" in said
    assert "ImportError: edited" in said
    assert built(place) == []


def test_a_rebuild_replaces_edited_cache_files(cached: Build, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cached()[0] == 0
    (record,) = built(place)
    edited(record.parent, "part1.py")
    assert doctor.examine("tf1").warnings == (
        "part1: part1.py was changed",
        "part1: uv's cache or other environments share these files; --rebuild fetches the original ones",
    )
    assert cached("--name", "other")[0] == 0
    assert len(doctor.examine("other").warnings) == 2, "the cache had the file before"
    with monkeypatch.context() as offline:
        offline.setenv("UV_OFFLINE", "1")
        code, said = cached("--rebuild")
        assert code == 0, "what cannot be fetched again stays as it is"
        assert _ANEW not in said
    assert len(doctor.examine("tf1").warnings) == 2
    monkeypatch.setenv("UV_LOCK_TIMEOUT", "1")
    (cache,) = subprocess.check_output([find_uv_bin(), "cache", "dir"], text=True).split()
    with Path(cache, ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)  # as `uv run` has it while Jupyter runs
        for _ in range(2):  # the second time, only the cache has the edited file
            code, said = cached("--rebuild")
            assert code == 0, said
            assert f"{_ANEW}: part1" in said
            assert doctor.examine("tf1").warnings == ()
    whole = max(built(place), key=lambda record: record.stat().st_mtime).parent
    assert (next(whole.rglob("part1.py")).stat().st_nlink, list(whole.glob("tmp*"))) == (1, [])
    assert next(whole.rglob("part2.py")).stat().st_nlink > 1, "all others are still links into uv's cache"
    assert len(doctor.examine("other").warnings) == 2, "no other environment is changed"


def test_wrong_file_lists_of_wheels_are_no_damage(
    build: Build, result: Result, index: package_index.Index, place: Path
) -> None:
    """As in the wheel of tensorflow-cpu-estimator 1.15.1."""
    files = {"listed.py": "", "listed-1.0.dist-info/RECORD": "listed.py,sha256=x,7\ngone.py,sha256=x,7\n"}
    package_index.wheel(index.folder, "listed", "1.0", files)
    code, said = build("--with", "listed")
    assert code == 0, said
    diagnosis = doctor.examine("tf1")
    assert (diagnosis.problem, diagnosis.warnings) == (None, ())
    edited(built(place)[0].parent, "listed.py")
    assert doctor.examine("tf1").warnings[0] == "listed: listed.py was changed"


def edited(folder: Path, name: str) -> None:
    """Edits a file in place, an hour after it was unpacked."""
    (module,) = folder.rglob(name)
    later = module.stat().st_mtime + 3600
    with module.open("a") as file:
        file.write("# edited\n")
    os.utime(module, (later, later))


def test_unloadable_libraries_are_left_to_the_import_check(cached: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says more of what is wrong."""
    monkeypatch.setattr(run_checks, "_LOADING", "import a_part_that_this_python_lacks")
    code, said = cached()
    assert code == 0, said
    assert said.index(_LOOK) < said.index(_IMPORT)


def test_failed_releases_are_import_checked_until_they_work(
    build: Build, result: Result, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the second attempt, which fetches nothing any more, would be taken on trust."""
    python = releases.find("tf1").pythons[0]
    with monkeypatch.context() as here:
        here.setattr(run_checks, "_IMPORTING", "raise ImportError('here it does not')")
        for options in ((), (), ("--with", "part1"), ("--python", python)):
            code, said = build(*options)
            assert code == 1
            assert "here it does not" in said
            assert nothing_is_there(place)
    assert _IMPORT in build()[1]
    install.remove("tf1")
    assert _IMPORT not in build()[1]


def test_what_was_interrupted_is_imported(build: Build, result: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    """Perhaps because it hung."""

    def pressed(python: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as here:
        here.setattr(run_checks, "probe", pressed)
        code, said = build()
        assert code == 130
        assert "tf1: interrupted, nothing changed" in said
    assert _IMPORT in build()[1]


def test_what_doctor_found_broken_is_imported(cached: Build, place: Path) -> None:
    assert cached()[0] == 0
    (once,) = built(place)
    (module,) = once.parent.glob("lib/python*/site-packages/numpy/__init__.py")
    module.unlink()
    assert not doctor.examine("tf1").ok
    for imported in (True, False):  # then it is known to work
        install.remove("tf1")
        code, said = cached()
        assert code == 0, said
        assert (_IMPORT in said) == imported


@pytest.mark.slow
def test_the_real_release(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """After the first time its files are in uv's cache, where they may have been before."""
    install.install(InstallRequest("tf1", user=True))
    install.remove("tf1")
    capfd.readouterr()
    again = install.install(InstallRequest("tf1", user=True))
    said = capfd.readouterr().err
    assert _LOOK in said
    assert _IMPORT not in said
    diagnosis = doctor.examine("tf1")
    assert diagnosis.ok
    assert diagnosis.warnings == ()
    assert diagnosis.findings is not None
    assert diagnosis.findings.python == again.environment.python_version
