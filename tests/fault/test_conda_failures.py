"""Environments from conda channels when something is wrong: with a package, the channel, the disk, or the moment."""

from __future__ import annotations

import json
import random
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.support import channels
from tests.support.channels import Package, Server, order
from tests.support.commands import command, in_a_mount, nothing_is_there
from tests.support.processes import ended
from tests.support.waiting import DEADLINE
from tfprovisioner.environments import store
from tfprovisioner.errors import BadRequirement, BuildFailed
from tfprovisioner.kernelspecs import install


def test_conda_packages_with_wrong_checksums_are_refused(folder: Path, server: Server, place: Path) -> None:
    served = place / "served"
    channels.recompressed(next((served / channels.subdir()).glob("tensorflow-*")))
    for channel in (server.url, served):
        with pytest.raises(BuildFailed, match="not the one that its channel's index describes") as refused:
            install.install(order(channel))
        assert "tensorflow-1.15.5" in str(refused.value)
        assert nothing_is_there(place)


def test_a_package_without_a_checksum_is_refused(server: Server, place: Path) -> None:
    index = place / "served" / channels.subdir() / "repodata.json"
    content = json.loads(index.read_text())
    for entry in content["packages"].values():
        del entry["sha256"], entry["md5"]
    index.write_text(json.dumps(content))
    with pytest.raises(BuildFailed, match="no checksum"):
        install.install(order(server.url))
    assert nothing_is_there(place)


@pytest.mark.parametrize(
    ("channel", "extras", "told"),
    [
        ("http://user:secret@127.0.0.1:9/t/to-ken/mine", (), "cannot be reached"),
        ("{url}/nowhere", (), "no such conda channel"),
        ("{url}", ("pandas",), "the channels have no package pandas"),
        ("{url}", ("pandas[all]",), "more than a name and versions"),
    ],
)
def test_what_goes_wrong_is_told_and_leaves_nothing(
    server: Server, place: Path, channel: str, extras: tuple[str, ...], told: str
) -> None:
    with pytest.raises((BuildFailed, BadRequirement), match=told) as failed:
        install.install(order(channel.format(url=server.url), extras=extras))
    assert "secret" not in str(failed.value)
    assert "to-ken" not in str(failed.value)
    assert nothing_is_there(place)


def test_a_killed_conda_build_leaves_nothing_broken(server: Server, place: Path) -> None:
    server.held = True
    arguments = command("install", "tf1", "--user", "--backend", "conda", "--channel", server.url)
    with ended(subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)) as process:
        assert server.reached.wait(DEADLINE)
        children = psutil.Process(process.pid).children()
        (child,) = (one for one in children if "rattler_worker.py" in " ".join(one.cmdline()))
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=DEADLINE)
    child.wait(DEADLINE)  # py-rattler's process ends with the one that started it
    assert not (place / "jupyter" / "kernels").exists()
    assert list(store.root().glob("*/environment.json")) == []

    server.held = False
    server.released.set()
    done = install.install(order(server.url))
    assert done.built
    assert list(store.root().iterdir()) == [done.environment.folder], "and what was begun is gone"


@pytest.mark.parametrize("full", ["home", "cache"])
def test_a_full_disk_is_told_and_leaves_nothing(server: Server, place: Path, full: str) -> None:
    (place / full).mkdir()
    big = Package("big", "1.0", (), {"share/big": random.Random(1).randbytes(20_000_000)})  # noqa: S311
    big.write(place / "served")
    arguments = ("install", "tf1", "--user", "--backend", "conda", "--channel", server.url, "--with", "big")
    look = f"code=$?; ls {place}/home/environments; exit $code"
    failed = in_a_mount(f"mount -t tmpfs -o size=15m none {place / full} && {' '.join(command(*arguments))}; {look}")
    assert failed.returncode == 1, failed.stderr
    assert "No space left" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert failed.stdout == "", "ls found nothing that was left"
    assert not (place / "jupyter" / "kernels").exists()


def test_interrupted_nothing_is_left(server: Server, place: Path) -> None:
    server.held = True
    arguments = command("install", "tf1", "--user", "--backend", "conda", "--channel", server.url)
    with ended(subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)) as process:
        assert server.reached.wait(DEADLINE)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    assert "interrupted, nothing changed" in said
    assert "Traceback" not in said
    assert nothing_is_there(place)


def test_md5_only_packages_of_a_folder_are_checked(server: Server, place: Path) -> None:
    index = place / "served" / channels.subdir() / "repodata.json"
    content = json.loads(index.read_text())
    for entry in content["packages"].values():
        del entry["sha256"]
    index.write_text(json.dumps(content))
    assert install.install(order(place / "served")).built
    channels.recompressed(next((place / "served" / channels.subdir()).glob("tensorflow-*")))
    with pytest.raises(BuildFailed, match="not the one that its channel's index describes"):
        install.install(order(place / "served", name="another", rebuild=True))
