"""A lock makes the same kernel again: here, elsewhere, and whenever the kernel is rebuilt."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from uv import find_uv_bin

from tests.support import package_index
from tests.support.commands import built, nothing_is_there
from tfprovisioner.catalogue import releases
from tfprovisioner.environments.backends import LOCK
from tfprovisioner.requirements.lock_file import Lock
from tfprovisioner.requirements.request import InstallRequest

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def written(index: package_index.Index, place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lock of a kernel ``tf1`` with one package more than the release's, of another machine."""
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
    wheel = package_index.wheel(index.folder, "extra", "2.0", {"extra.py": ""})
    pin = f"extra==2.0 \\\n    --hash=sha256:{package_index.digest(wheel)}\n"
    text = f"{releases.find('tf1').lock}{pin}"
    path = place / "tf1.lock"
    path.write_text(Lock.of(text, releases.find("tf1").pythons[0], releases.platform_name(), "tf1").file())
    return path


def kernel(place: Path, name: str) -> dict[str, Any]:
    """``metadata.tfkernels`` of a kernel."""
    path = place / "jupyter" / "kernels" / name / "kernel.json"
    described: dict[str, Any] = json.loads(path.read_text())["metadata"]["tfkernels"]
    return described


def test_a_lock_makes_the_same_kernel_again(written: Path, command: Command, place: Path) -> None:
    code, said, errors = command("install", "--user", "--lock", str(written))
    assert code == 0, errors
    assert said.startswith("tf1: installed. TensorFlow 1.15.5, Python 3.7")
    pins = [line for line in written.read_text().splitlines() if "==" in line]
    assert "extra==2.0 \\" in pins
    environment = Path(kernel(place, "tf1")["environment"])
    assert [line for line in (environment / LOCK).read_text().splitlines() if "==" in line] == pins
    assert "already there" in command("install", "--user", "--lock", str(written))[1]
    assert "already there" in command("install", "--user", "tf1")[1], "kept, as all that was chosen"

    text = written.read_text()
    written.unlink()
    again = shlex.split(kernel(place, "tf1")["command"])
    assert again[:3] == ["tfkernels", "install", "--name"]
    shutil.rmtree(environment)
    code, said, errors = command("doctor", "tf1", "--json")
    assert json.loads(said)[0]["remedy"] == shlex.join(again)
    assert command(*again[1:])[0] == 0
    assert command(*again[1:], "--rebuild")[0] == 0
    (record,) = built(place)
    assert [line for line in (record.parent / LOCK).read_text().splitlines() if "==" in line] == pins
    assert command("lock", "tf1")[1] == text


def test_the_commands_in_a_locks_heading_work(written: Path, place: Path) -> None:
    """Those for people without tfkernels."""
    commands = [line.split("uv ")[-1].split() for line in written.read_text().splitlines() if "uv " in line]
    assert len(commands) == 2
    for words in commands:
        python = str(InstallRequest("tf1").choose_interpreter().path)  # the system's python3.7 may be a broken shim
        known = {"ENV": str(place / "env"), "FILE": str(written), "3.7": python}
        subprocess.run([find_uv_bin(), *(known.get(word, word) for word in words)], check=True, capture_output=True)
    assert list((place / "env").glob("lib/python3.7/site-packages/extra.py"))


def test_a_kernel_of_a_lock_takes_no_other_packages(written: Path, command: Command, place: Path) -> None:
    assert command("install", "--user", "--lock", str(written))[0] == 0
    code, _, errors = command("install", "--user", "tf1", "--with", "part0")
    assert code == 1
    assert "which has all its packages. Let tfkernels choose packages again with: --lock usual" in errors
    assert command("install", "--user", "tf1", "--lock", "usual", "--with", "part0")[0] == 0
    assert "lock" not in kernel(place, "tf1")["command"]
    assert not (place / "jupyter" / "kernels" / "tf1" / "lock.txt").exists()


def test_kernels_with_other_packages_keep_their_name(written: Path, command: Command, place: Path) -> None:
    assert command("install", "--user", "tf1")[0] == 0
    before = kernel(place, "tf1")
    code, said, errors = command("install", "--user", "--lock", str(written))
    assert code == 0, errors
    name = said.partition(":")[0]
    assert name.startswith("tf1-")
    assert kernel(place, "tf1") == before
    assert command("install", "--user", "--lock", str(written))[1].startswith(f"{name}: already there")


def test_other_files_than_the_locks_are_refused(
    written: Path, index: package_index.Index, command: Command, place: Path
) -> None:
    digest = package_index.digest(index.folder / "extra-2.0-py3-none-any.whl")
    written.write_text(written.read_text().replace(digest, "0" * 64))
    code, _, errors = command("install", "--user", "--lock", str(written))
    assert code == 1
    assert "serves another file than the lock names" in " ".join(errors.split()), errors
    assert "The index has other files of: extra==2.0\n" in errors
    assert nothing_is_there(place)


def test_a_lock_runs_setup_code_only_if_allowed(
    written: Path, index: package_index.Index, command: Command, place: Path
) -> None:
    source = package_index.source(index.folder, "sourced", "1.0", f"open({str(place / 'ran')!r}, 'w').close()")
    with written.open("a") as file:
        file.write(f"sourced==1.0 --hash=sha256:{package_index.digest(source)}\n")
    code, _, errors = command("install", "--user", "--lock", str(written))
    assert code == 1
    assert "has no wheel" in " ".join(errors.split()), errors
    assert not (place / "ran").exists()
    assert nothing_is_there(place)

    code, _, errors = command("install", "--user", "--lock", str(written), "--no-only-binary")
    assert code == 0, errors
    assert (place / "ran").exists()


def test_changes_by_hand_are_not_in_the_lock(written: Path, command: Command, place: Path) -> None:
    assert command("install", "--user", "--lock", str(written))[0] == 0
    (site,) = Path(kernel(place, "tf1")["environment"]).glob("lib/python*/site-packages")
    (added,) = site.glob("part3-1.0.dist-info")
    shutil.copytree(added, site / "byhand-1.0.dist-info")
    code, text, errors = command("lock", "tf1")
    assert code == 0
    assert "byhand" not in text
    assert errors == "tf1: not in the lock: byhand==1.0 was added\n"


def test_a_lock_may_come_through_a_pipe(written: Path, command: Command, place: Path) -> None:
    pipe = place / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as threads:
        threads.submit(pipe.write_bytes, written.read_bytes())
        code, said, errors = command("install", "--user", "--lock", str(pipe))
    assert code == 0, errors
    assert said.startswith("tf1: installed.")


def test_packages_from_addresses_are_in_no_lock(
    index: package_index.Index, command: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
    wheel = package_index.wheel(place, "extra", "2.0", {"extra.py": ""})
    code, _, errors = command("install", "--user", "tf1", "--with", f"extra @ {wheel.as_uri()}")
    assert code == 0, errors
    code, text, errors = command("lock", "tf1")
    assert (code, text) == (1, "")
    assert "its package extra is from an address" in errors


def test_a_lock_says_the_release_itself(written: Path, command: Command) -> None:
    code, _, errors = command("install", "--lock", str(written), "tf1")
    assert code == 2
    assert "a lock names the release" in errors
