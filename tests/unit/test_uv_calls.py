"""An installation asks uv, and with it the package index, as rarely as it can."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from tfprovisioner.bundles import package_files, platforms
from tfprovisioner.catalogue import locks, releases
from tfprovisioner.catalogue.releases import Release
from tfprovisioner.requirements.lines import name_of
from tfprovisioner.requirements.request import InstallRequest
from tfprovisioner.resolution import locked_files, release_of_pins, resolve, uv_resolution, without_wheel
from tfprovisioner.resolution.source_builds import SourceBuilds
from tfprovisioner.system import uv
from tfprovisioner.system.uv import UvFailed

NEEDS = {"tool": ["old", "older"], "old": ["oldest"]}
SOURCES = {"built", "also-built", "old", "older", "oldest"}
"""The packages without a wheel. ``newest-built`` has an older one."""


WHEEL = '{ url = "https://example.org/%s-1-py3-none-any.whl", hashes = { sha256 = "0" } }'


class Uv:
    """Answers like uv for an index of a few packages: each refusal names one package."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.cached: dict[str, str] = {}
        """Versions in its cache, where the index has 1 by now."""

    def run(self, arguments: list[str], cwd: Path, say: Callable[[str], None], *_: Any, **__: Any) -> None:
        self.calls.append(arguments)
        end = arguments.index("--output-file")
        source, target = Path(arguments[end - 1]), Path(arguments[end + 1])
        text = source.read_text(encoding="utf-8")
        only = "--only-binary" in arguments
        allowed = {name for option, name in pairwise(arguments) if option == "--no-binary"}
        if source.name == "pyproject.toml":
            text = text.split("dependencies = [")[1].split("]")[0].replace('"', "").replace(", ", "\n")
        names = [name_of(line) for line in text.splitlines()]
        for name in [] if "--no-deps" in arguments else names:
            names += NEEDS.get(name, ())
        lacking = [name for name in names if only and name in SOURCES - allowed]
        if lacking:
            raise UvFailed(
                f"No solution found: {lacking[0]}==1 has no usable wheels\nhint: Wheels are required for `{lacking[0]}`"
            )
        if "pylock.toml" in arguments:
            file = {
                name: 'version = "1"\nsdist = {}'
                if name in {*SOURCES, "newest-built"}
                else f'version = "1"\nwheels = [{WHEEL % name}]'
                for name in names
            }
            lines = [f'[[packages]]\nname = "{name}"\n{file[name]}' for name in names]
        else:
            cached = self.cached if "--offline" in arguments else {}
            lines = [f"{name}=={cached.get(name, '1')}" for name in names]
        target.write_text("\n".join(lines), encoding="utf-8")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Uv:
    found = Uv()
    monkeypatch.setattr(uv, "run", found.run)
    monkeypatch.setattr(uv, "offline", lambda: False)
    return found


@pytest.fixture
def asked(fake: Uv) -> list[list[str]]:
    return fake.calls


def resolved(folder: Path, *lines: str, verified: dict[str, str] | None = None) -> list[str]:
    builds = SourceBuilds.of(InstallRequest("1.12", extras=lines), "3.6.15")
    builds.use("", verified or {})
    found = uv_resolution.resolve(lines, (), (), (), folder, print, builds)
    return found.splitlines()


def whole(calls: list[list[str]]) -> list[list[str]]:
    """Those for which the index is asked about all packages."""
    return [call for call in calls if "--no-deps" not in call and "--offline" not in call]


def test_lines_without_wheels_are_one_question(asked: list[list[str]], tmp_path: Path) -> None:
    assert resolved(tmp_path, "built==1", "also-built==1", "other==1") == ["built==1", "also-built==1", "other==1"]
    assert len(asked) == 2
    assert len(whole(asked)) == 1


def test_only_lines_in_any_version_are_asked_twice(asked: list[list[str]]) -> None:
    found = without_wheel.among(["built>=0.1", "newest-built", "also-built==1"], "3.6")
    assert (found.built, found.unusable) == ({"built", "also-built"}, set())
    assert len(asked) == 3, "the second refusal is of built, and the third has a wheel"


def test_lines_of_the_verified_lock_are_not_asked(asked: list[list[str]], tmp_path: Path) -> None:
    resolved(tmp_path, "other", verified={"other": "1"})
    assert len(asked) == len(whole(asked)) == 1


def test_needs_without_wheels_come_from_the_cache(asked: list[list[str]], tmp_path: Path) -> None:
    assert len(resolved(tmp_path, "tool==1")) == 4
    assert len(whole(asked)) == 2
    assert asked[-1] in whole(asked), "the index has the last word"


def lock(folder: Path, *lines: str, cached: bool = True) -> tuple[str, SourceBuilds]:
    request = InstallRequest("1.12", extras=lines)
    resolver = resolve.Resolver.of(request, "3.6.15", None, folder, print)
    return resolver.lock(lines, cached), resolver.builds


def test_only_the_users_packages_are_asked_of_the_index(asked: list[list[str]], tmp_path: Path) -> None:
    text, builds = lock(tmp_path, "built>=0.1", "other")
    assert "other==1" in text
    assert builds.unverified() == [], "no lock is used yet"
    builds.use(text, uv_resolution.pinned(text, "3.6"))
    assert builds.unverified() == ["built 1"]
    assert not whole(asked)
    of_index = [call for call in asked if "--offline" not in call]
    assert len(of_index) == 2, "the lines, and an older wheel of what has none"
    del asked[:]
    files = locked_files.of("other==1", [], builds, tmp_path, print)
    assert [(file.name, file.version) for file in files] == [("other", "1")]
    assert all("--offline" in call for call in asked), "nor for sizes"


def test_an_older_version_of_the_cache_is_not_taken(fake: Uv, tmp_path: Path) -> None:
    fake.cached = {"other": "0.9"}
    assert "other==1" in lock(tmp_path, "other")[0]
    assert len(whole(fake.calls)) == 1


def test_all_packages_with_other_files_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def lock(**digits: str) -> str:
        pins = {"a": "a==1", "b": "b-c==2", "d": "d==3"}
        return locks.joined(pins.values(), {pins[name]: [digit * 64 for digit in of] for name, of in digits.items()})

    def run(arguments: list[str], *_: Any, **__: Any) -> None:
        Path(arguments[arguments.index("--output-file") + 1]).write_text(lock(a="1", b="23", d="4"), encoding="utf-8")

    monkeypatch.setattr(uv, "run", run)
    builds = SourceBuilds({}, "3.6.15")
    assert locked_files.unlike(lock(a="9", b="3", d="8"), [], builds, tmp_path) == ["a==1", "d==3"]
    assert not list(tmp_path.iterdir())


def test_a_rebuild_asks_the_index_for_all(asked: list[list[str]], tmp_path: Path) -> None:
    lock(tmp_path, "other", cached=False)
    assert whole(asked)


def test_releases_that_fit_nothing_are_refused_together(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[list[str], str]] = []
    every = [(release, list(release.pythons)) for release in reversed(releases.releases())]
    fitting = {"2.4.4"}
    words = "numpy==1.10.4"

    def refusal(wanted: Sequence[Release], python: str, *_: Any, **__: Any) -> str | None:
        versions = [release.version for release in wanted]
        asked.append((versions, python))
        return words if fitting.isdisjoint(versions) else None

    monkeypatch.setattr(release_of_pins, "_refusal", refusal)
    found = release_of_pins.newest(every, [])
    assert found is not None
    assert (found[0].version, found[1][0]) == ("2.4.4", "3.8")
    fitting.clear()
    del asked[:]
    lines = {release.line for release, _ in every}
    assert release_of_pins.newest(every, []) is None
    assert len(asked) <= 5
    assert len({version for versions, _ in asked for version in versions}) == len(lines)
    words = "no wheels with a matching Python"
    del asked[:]
    assert release_of_pins.newest(every, []) is None
    assert len(asked) <= 12, "once for each Python, and those of the newest release"


def test_several_releases_are_one_requirement() -> None:
    wanted = Requirement(release_of_pins._any_of([releases.find("2.21.0"), releases.find("2.11.1")]))
    known = [release.version for release in releases.releases()]
    assert [version for version in known if version in wanted.specifier] == ["2.11.1", "2.21.0"]


def test_the_setup_code_of_an_address_is_not_run(asked: list[list[str]]) -> None:
    assert without_wheel.among(["built @ https://example.org/built-1.tar.gz"], "3.6") == (set(), set(), {})
    assert not asked


def test_a_minor_version_is_its_newest() -> None:
    assert uv.for_python(None, "3.6")[-1] > "3.6.15"
    assert uv.for_python(None, "3.6.1")[-1] == "3.6.1"


def test_a_bundle_is_for_the_newest_python_of_a_minor(asked: list[list[str]]) -> None:
    package_files.of(["other==1"], "3.6", platforms.PLATFORMS["linux-x86_64"], print)
    assert uv.newest_of("3.6") in asked[0]


def test_what_needs_a_package_without_a_wheel_can_wait() -> None:
    hints = "".join(f" hint: Wheels are required for `{name}` because" for name in ("a", "b"))
    assert without_wheel.required(f"Because a<=1.0 depends on b>=1 and b==1 has no usable wheels{hints}") == {"b"}
    assert without_wheel.required(f"Because a==1 depends on b and b==1 depends on a.{hints}") == {"a", "b"}
    assert without_wheel.required(f"Because c==1 depends on d==1.2. And because{hints}") == {"a", "b"}
