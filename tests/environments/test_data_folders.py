"""Data folders that may not be written, with odd names, or where nothing can be deleted."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import command, in_a_mount, nothing_is_there, tfkernels
from tests.support.notebooks import run_cells, text
from tfkernels.client.kernel import Kernel
from tfprovisioner.environments import store
from tfprovisioner.errors import BuildFailed
from tfprovisioner.kernelspecs import gc, install
from tfprovisioner.requirements.request import InstallRequest

_START = """
from tests.support.notebooks import run_cells, text
print('a cell says', text(run_cells('tf1.15', '6 * 7')[0]))
"""


def test_kernels_work_with_a_readonly_data_folder(light: str, place: Path) -> None:
    """As on a shared machine, where somebody else looks after the environments."""
    install.install(InstallRequest("1.15", user=True))
    home, root = place / "home", Path(__file__).parents[2]
    read_only = f"mount --bind {home} {home} && mount -o remount,bind,ro {home} && cd {root}"

    def done(program: list[str]) -> subprocess.CompletedProcess[str]:
        return in_a_mount(f"{read_only} && {shlex.join(program)}")

    listed = done(command("list"))
    assert listed.returncode == 0, listed.stderr
    assert "tf1.15" in listed.stdout
    examined = done(command("doctor", "tf1.15"))
    assert "tf1.15: ok" in examined.stdout, examined.stdout + examined.stderr
    assert "a cell says 42" in done([sys.executable, "-c", _START]).stdout
    again = done(command("install", "1.15", "--user"))
    # Registered anew where this Jupyter has another kernel of the same title, which only commands see.
    assert re.search("^tf1.15: (registered, environment )?already there", again.stdout), again.stderr
    for arguments in (["--rebuild"], ["--name", "mine"]):
        refused = done(command("install", "1.15", "--user", *arguments))
        assert refused.returncode == 1
        assert f"The data folder {home} cannot be written: Read-only file system. Choose another" in refused.stderr
        assert "Traceback" not in refused.stderr
    assert [path.name for path in (place / "jupyter" / "kernels").iterdir()] == ["tf1.15"]
    for program in (command("gc"), command("remove", "tf1.15")):
        refused = done(program)
        assert refused.returncode == 1
        assert "Read-only file system" in refused.stderr
        assert "Traceback" not in refused.stderr
    assert "a cell says 42" in done([sys.executable, "-c", _START]).stdout, "and nothing has changed"


def test_unwritable_kernel_folders_are_refused_before_the_build(place: Path) -> None:
    (kernels := place / "prefix" / "share" / "jupyter" / "kernels").mkdir(parents=True)
    read_only = f"mount --bind {kernels} {kernels} && mount -o remount,bind,ro {kernels}"
    beside = f"import sys; sys.prefix = '{place}/prefix'; sys.argv[0] = 'tfkernels'; import tfprovisioner.__main__"

    def done(*arguments: str) -> subprocess.CompletedProcess[str]:
        return in_a_mount(f"{read_only} && {shlex.join([sys.executable, '-c', beside, 'install', '1.15', *arguments])}")

    refused = done()
    assert refused.returncode == 1
    assert f"cannot be registered in {kernels}: {kernels} cannot be written. Add --user" in refused.stderr
    assert "creating an environment" not in refused.stderr
    assert nothing_is_there(place)
    advised = done("--user")
    assert "tf1.15: installed" in advised.stdout, advised.stderr


@pytest.mark.parametrize(("name", "release"), [("a:b", "2.21"), ("a$b", "1.15"), ("a\tb", "2.21"), ("a\nb", "2.21")])
def test_data_folders_that_environments_cannot_bear(
    place: Path, monkeypatch: pytest.MonkeyPatch, name: str, release: str
) -> None:
    monkeypatch.setenv("TFKERNELS_HOME", str(place / name / "home"))
    told = re.escape(f"the path has a {name[1]!r} in it. Choose another data folder")
    with pytest.raises(BuildFailed, match=told):
        install.install(InstallRequest(release, user=True))
    assert not list((place / name).rglob("*.build-*"))
    monkeypatch.setenv("TFKERNELS_HOME", str(place / "home"))
    assert nothing_is_there(place)


_ODD = 'it\'s "#1" & 100% \\n `id` {x} *?! ü日本 ' + "long " * 30
"""What a shell, a URL, a format or a script's first line would read in another way, and more than that may have."""


def test_odd_data_folders_have_their_own_programs(light: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFKERNELS_HOME", str(place / _ODD / "home"))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(place / _ODD / "jupyter"))
    monkeypatch.setenv("JUPYTER_PATH", str(place / _ODD / "jupyter"))
    made = install.install(InstallRequest("1.15", user=True))
    done = tfkernels("exec", "tf1.15", "--", "pip", "--version")
    assert str(made.environment.folder) in done.stdout, done.stderr
    assert text(run_cells("tf1.15", "import sys; print(sys.prefix)")[0]).strip() == str(made.environment.folder)
    with Kernel("tf1.15") as kernel:
        assert kernel["__import__('sys').prefix"] == str(made.environment.folder)


def test_what_gc_cannot_delete_is_told(light: str, place: Path) -> None:
    made = install.install(InstallRequest("1.15", user=True))
    shutil.rmtree(made.kernelspec)
    folder = made.environment.folder
    swept = in_a_mount(
        f"mount --bind {folder} {folder} && mount -o remount,bind,ro {folder} && {shlex.join(command('gc'))}"
    )
    assert "Traceback" not in swept.stderr
    assert str(folder) in swept.stderr
    assert "Read-only file system" in swept.stderr
    assert f"removed {folder}" not in swept.stdout
    assert swept.returncode == 1
    assert store.load(folder) is not None, "whole as before"
    assert str(folder) in [item.path for item in gc.collect()], "for the next time"
