"""``install --dry-run`` and ``--json``: what would be done, and what was done. Nothing real is downloaded."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import package_index
from tests.support.channels import Server
from tests.support.package_index import PARTS, Index
from tfprovisioner.cli import app as cli
from tfprovisioner.environments import planned
from tfprovisioner.kernelspecs import plan
from tfprovisioner.progress import Reporter
from tfprovisioner.pythons.choose import Interpreter
from tfprovisioner.requirements.request import InstallRequest

Answer = Callable[..., tuple[int, list[dict[str, Any]]]]


@pytest.fixture
def answer(capfd: pytest.CaptureFixture[str]) -> Answer:
    """``tfkernels install … --user --json``: its exit code, and its document."""

    def answer(*arguments: str) -> tuple[int, list[dict[str, Any]]]:
        try:
            code = cli.app(["install", "--user", "--json", *arguments], standalone_mode=False) or 0
        except SystemExit as end:
            code = int(end.code or 0)
        return code, json.loads(capfd.readouterr().out)

    return answer


def everything(place: Path) -> set[Path]:
    return {path for path in place.rglob("*") if path.relative_to(place).parts[0] not in ("cache", "wheels")}


def by_name(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {package["name"]: package for package in document["packages"]}


def test_a_dry_run_tells_all_and_writes_nothing(
    index: Index, answer: Answer, place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    wheels = place / "wheels"
    for version in ("1.0", "2.0"):
        package_index.wheel(wheels, "more", version, {"more.py": ""})
    index.uploaded = {"more-2.0-py3-none-any.whl": "2020-02-03"}
    file = place / "requirements.txt"
    file.write_text("more\ngit+https://example.org/x\n")
    before = everything(place)

    code, (first,) = answer("tf1", "--index", index.url, "--requirements", str(file), "--dry-run")
    assert first["notes"][0].startswith(f"{file}:2: left out 'git+https://example.org/x'")
    assert (code, first["state"], first["error"]) == (0, "would be installed", None)
    assert (first["kernel"], first["tensorflow"], first["backend"]) == ("tf1", "1.15.5", "uv")
    assert (first["python_source"], Path(first["python_path"]).exists()) == ("found", True)
    assert first["environment"] is None
    more = by_name(first)["more"]
    wheel = wheels / "more-2.0-py3-none-any.whl"
    assert more == {
        "name": "more", "version": "2.0", "now": None, "source": "index", "url": more["url"],
        "size": wheel.stat().st_size, "uploaded": "2020-02-03", "cached": False,
    }  # fmt: skip
    assert more["url"].endswith("/more-2.0-py3-none-any.whl")
    assert len(first["packages"]) == PARTS + 4
    assert first["download"] == sum(package["size"] for package in first["packages"])
    assert everything(place) == before, "nothing was written"

    code, (made,) = answer("tf1", "--index", index.url, "--with", "more<2")
    assert (code, made["state"], made["command"]) == (0, "installed", "tfkernels install tf1 --user --with 'more<2'")
    assert {"name": "more", "version": "1.0"} in made["packages"]
    assert made["size"] > 0
    before = everything(place)

    code, (again,) = answer("tf1", "--index", index.url, "--dry-run")
    assert (code, again["state"], again["environment"]) == (0, "already there", made["environment"])
    assert again["download"] == 0

    code, (other,) = answer("tf1", "--index", index.url, "--with", "more", "--dry-run", "--rebuild")
    assert (code, other["state"], by_name(other)["more"]["now"], by_name(other)["more"]["version"]) == (
        0, "would be installed", "1.0", "2.0"
    )  # fmt: skip
    assert by_name(other)["part1"]["cached"]
    assert other["download"] == wheel.stat().st_size
    assert everything(place) == before, "nothing was changed"

    code, (without,) = answer("tf1", "--index", index.url, "--without", "more", "--dry-run")
    assert (without["state"], without["removed"]) == ("would be installed", {"more": "1.0"})

    cli.app(["install", "--user", "tf1", "--dry-run", "--with", "more"], standalone_mode=False)
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith("tf1: would be installed. TensorFlow 1.15.5, Python ")
    assert lines[1] == f"tf1: {PARTS + 3} packages stay in the version that they have"
    assert [line.split() for line in lines[2:]] == [
        ["package", "now", "then", "from", "size"],
        ["more", "1.0", "2.0", "index", "1", "kB"],
    ]


def test_failures_are_in_the_document(index: Index, answer: Answer) -> None:
    for more in ((), ("--dry-run",)):
        code, (failed,) = answer("tf1", "--index", index.url, "--with", "nowhere", *more)
        assert (code, failed["state"], failed["kernel"]) == (1, "failed", "tf1")
        assert "the index has no such package" in failed["error"]
        code, (failed,) = answer("--requirements", "nowhere.txt", *more)
        assert (code, failed["state"], failed["kernel"]) == (1, "failed", None)
        assert "nowhere.txt cannot be read" in failed["error"]


def test_a_python_that_would_be_downloaded(index: Index, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not here, and it is not fetched for the plan."""
    index.uploaded = {"none": ""}
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
    request = InstallRequest("tf1", user=True)
    found = planned.packages(request, Interpreter("3.7", None, "uv"), Reporter("tf1"))
    assert {one.name: one.version for one in found}["tensorflow"] == "1.15.5"
    assert not (place / "home").exists()


def test_conda_packages_have_sizes_and_channels(server: Server, place: Path) -> None:
    request = InstallRequest("1.15", user=True, backend="conda", channels=(server.url,), extras=("tqdm",))
    found = plan.of(request, Reporter("tf1.15"))
    assert (found.state, found.python.source) == ("would be installed", "conda")
    tensorflow = next(one for one in found.packages if one.name == "tensorflow")
    assert (tensorflow.version, tensorflow.source) == ("1.15.5", "conda")
    assert tensorflow.size
    assert found.download == sum(one.size or 0 for one in found.packages)
    assert not (place / "jupyter").exists()
    assert not list((place / "home").glob("environments/*"))


def test_the_users_conda_is_asked_for_its_plan(server: Server, place: Path) -> None:
    facts = {"name": "tensorflow", "version": "1.15.5"}
    says = {"actions": {"LINK": [facts], "FETCH": [{**facts, "url": "https://example.org/x.conda", "size": 7}]}}
    program = place / "conda"
    program.write_text(
        f"#!{sys.executable}\nimport sys, json\n"
        "if sys.argv[1] == 'info': print(json.dumps({'conda_version': '24'})); sys.exit()\n"
        "assert '--dry-run' in sys.argv and '--json' in sys.argv\n"
        f"print({json.dumps(says)!r})\n",
        encoding="utf-8",
    )
    program.chmod(0o755)
    request = InstallRequest("1.15", user=True, backend="conda", channels=(server.url,), conda=str(program))
    (tensorflow,) = plan.of(request, Reporter("tf1.15")).packages
    assert (tensorflow.version, tensorflow.size, tensorflow.url) == ("1.15.5", 7, "https://example.org/x.conda")
