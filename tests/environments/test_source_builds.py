"""Packages that have no wheel: what is built, with what, what it sees of the user, and what a failure says."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import package_index
from tests.support.commands import built, nothing_is_there
from tfprovisioner.environments import verify

Install = Callable[..., tuple[int, str]]


def lock(place: Path) -> str:
    (record,) = built(place)
    return (record.parent / "requirements.txt").read_text()


def test_a_build_is_announced_locked_and_cached(
    index: package_index.Index, install: Install, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = place / "count"
    source = package_index.source(index.folder, "extra", "2.0", f"open({str(count)!r}, 'a').write('once')")
    monkeypatch.setenv("SOME_TOKEN", "pass-w0rd-4711")
    monkeypatch.setenv("UV_INDEX_OTHER_PASSWORD", "pass-w0rd-4711")
    monkeypatch.setenv("CFLAGS", "-O1")
    index.user = "somebody:pass-w0rd-4711"
    code, words = install("--with", "extra", "--index", index.url_for(index.user))
    assert code == 0, words
    assert "building from source what has no wheel: extra 2.0 (" in words
    assert f"extra==2.0 \\\n    --hash=sha256:{package_index.digest(source)}\n" in lock(place)
    (module,) = (place / "home" / "environments").glob("*/lib/python*/site-packages/extra.py")
    assert "pass-w0rd-4711" not in module.read_text(), "the build sees no secret"
    assert f"'HOME': '{place / 'home' / 'build-home'}'" in module.read_text()
    assert "'CFLAGS': '-O1'" in module.read_text(), "but what it may be steered by"

    builds = count.read_text()
    shutil.rmtree(place / "home")
    code, words = install("--with", "extra", "--index", index.url_for(index.user))
    assert code == 0, words
    assert count.read_text() == builds, "the wheel is in uv's cache"


def test_other_files_of_a_source_are_refused(index: package_index.Index, install: Install, place: Path) -> None:
    source = package_index.source(index.folder, "extra", "2.0")
    (place / "elsewhere").mkdir()
    other = package_index.source(place / "elsewhere", "extra", "2.0", f"open({str(place / 'mark')!r}, 'w')")
    index.wrong = {source.name: other}
    code, words = install("--with", f"extra==2.0 --hash=sha256:{package_index.digest(source)}", "--index", index.url)
    assert code == 1
    assert "the index or mirror serves another file" in words
    assert not (place / "mark").exists()
    assert nothing_is_there(place)


def test_only_binary_names_all_and_runs_none(index: package_index.Index, install: Install, place: Path) -> None:
    mark = place / "mark"
    for name in ("extra", "second"):
        package_index.source(index.folder, name, "2.0", f"open({str(mark)!r}, 'w').close()")
    code, words = install("--with", "extra,second", "--only-binary", "--index", index.url)
    assert code == 1
    assert "extra and second have no wheel for Python 3.7 and this platform" in words
    assert "--no-only-binary" in words
    assert not mark.exists()
    assert nothing_is_there(place)

    package_index.wheel(index.folder, "extra", "1.0", {"extra.py": ""})
    code, words = install("--with", "extra", "--only-binary", "--index", index.url)
    assert code == 0, words
    assert "extra==1.0" in lock(place), "the newest that has a wheel"
    code, words = install("--with", "second", "--index", index.url)
    assert code == 1, "the kernel keeps the option"
    assert "second has no wheel" in words
    code, words = install("--with", "second", "--no-only-binary", "--index", index.url)
    assert code == 0, words
    assert "what has no wheel: second 2.0 (" in words
    assert "extra==1.0" in (built(place)[-1].parent / "requirements.txt").read_text(), "a wheel comes before a build"


def test_a_wheel_stays_if_what_it_needs_is_built(index: package_index.Index, install: Install, place: Path) -> None:
    mark = place / "mark"
    package_index.wheel(index.folder, "extra", "1.0", {"extra.py": ""}, "second")
    package_index.source(index.folder, "extra", "2.0", f"open({str(mark)!r}, 'w').close()")
    package_index.source(index.folder, "second", "1.0")
    code, words = install("--with", "extra", "--index", index.url)
    assert code == 0, words
    assert "extra==1.0" in lock(place)
    assert not mark.exists()


def test_older_versions_are_built_only_if_needed(index: package_index.Index, install: Install, place: Path) -> None:
    """Each version that uv looks at is built, and what the newest one needs has no wheel, either."""
    mark = place / "mark"
    for version in ("1.0", "2.0", "3.0"):
        noted = f"open({str(mark)!r}, 'a').write('{version} ')"
        package_index.source(index.folder, "extra", version, noted, needs="second")
    package_index.source(index.folder, "second", "1.0")
    code, words = install("--with", "extra", "--index", index.url)
    assert code == 0, words
    assert "extra==3.0" in lock(place)
    assert set(mark.read_text().split()) == {"3.0"}

    package_index.source(index.folder, "third", "1.0")
    package_index.source(index.folder, "third", "2.0", needs="numpy>=99")
    code, words = install("--with", "third", "--index", index.url)
    assert code == 0, words
    assert "third==1.0" in (built(place)[-1].parent / "requirements.txt").read_text()


def test_old_build_tools_follow_a_failure(index: package_index.Index, install: Install, place: Path) -> None:
    package_index.wheel(index.folder, "setuptools", "57.5.0", {"setuptools_version.py": "major = 57"})
    package_index.wheel(index.folder, "setuptools", "68.0", {"setuptools_version.py": "major = 68"})
    old = "import setuptools_version\n    if setuptools_version.major > 57: raise ValueError('{}')"
    package_index.source(index.folder, "extra", "2.0", old.format("use_2to3 is invalid"), '"setuptools>=40"')
    package_index.source(index.folder, "second", "2.0", old.format("nothing known"), '"setuptools>=40"')
    code, words = install("--with", "extra,second", "--index", index.url)
    assert code == 0, words
    assert "setuptools" not in lock(place), "they are for the build only"


def test_compiling_uses_the_environments_numpy(
    index: package_index.Index, install: Install, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "_differing", lambda *_: verify._Others((), ()))  # this NumPy can do nothing
    for version in ("0.9", "2.0"):
        package_index.wheel(index.folder, "numpy", version, {"numpy.py": package_index.NUMPY.replace("1.0", version)})
    code = "import numpy\n    os.environ['NUMPY'] = numpy.__version__"
    package_index.source(index.folder, "undeclared", "2.0", code)
    package_index.source(index.folder, "declared", "2.0", code, '"numpy"')
    for numpy in ("1.0", "0.9"):
        status, words = install("--with", f"undeclared,declared,numpy=={numpy}", "--index", index.url)
        assert status == 0, words
        folder = built(place)[0].parent
        for name in ("undeclared", "declared"):
            (module,) = folder.glob(f"lib/python*/site-packages/{name}.py")
            assert f"'NUMPY': '{numpy}'" in module.read_text(), name


def test_a_failed_build_says_what_to_do(index: package_index.Index, install: Install, place: Path) -> None:
    failing = "print('a line of the log'); raise SystemExit(\"error: command 'gcc' failed: No such file or directory\")"
    package_index.source(index.folder, "extra", "2.0", failing)
    code, words = install("--with", "extra==2.0", "--index", index.url)
    assert code == 1
    assert "Building extra 2.0 from source failed, and nothing was changed: the compiler gcc is missing" in words
    assert "apt install build-essential" in words
    assert "No version of extra has a wheel for Python 3.7" in words
    assert "\na line of the log\n" in words
    assert nothing_is_there(place)

    package_index.wheel(index.folder, "extra", "1.0", {"extra.py": ""})
    code, words = install("--with", "extra==2.0", "--index", index.url)
    assert code == 1
    advised = re.search(r"Or ask for a version that has a wheel: --with '(\S+)'", words)
    assert advised is not None, words
    code, words = install("--with", advised[1], "--index", index.url)
    assert code == 0, words
