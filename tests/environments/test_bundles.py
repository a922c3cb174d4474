"""Bundles: made here with an index, installed there without network and without anything else."""

from __future__ import annotations

import errno
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distributions
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote

import pytest
import rattler
from uv import find_uv_bin

import tfkernels
from tests.support import bundles, commands, package_index
from tests.support.channels import Server
from tests.support.commands import built, nothing_is_there
from tests.support.package_index import Index
from tfprovisioner.bundles import contents, download, own_wheel, platforms, python_archives, pythons, write
from tfprovisioner.bundles.contents import BundledPython, File
from tfprovisioner.catalogue import releases
from tfprovisioner.conda import rattler_folder
from tfprovisioner.errors import BuildFailed
from tfprovisioner.kernelspecs import doctor, gc
from tfprovisioner.progress import Reporter
from tfprovisioner.pythons import find, from_conda

Command = Callable[..., tuple[int, str, str]]

_OWN = f"tfkernels-{tfkernels.__version__}-py3-none-any.whl"


@pytest.fixture
def small(index: Index, monkeypatch: pytest.MonkeyPatch) -> Index:
    """The index of a tiny release; tfkernels itself is one module, which needs nothing."""

    def make(folder: Path, say: object) -> Path:
        return package_index.wheel(folder, "tfkernels", tfkernels.__version__, {"tfkernels_is_here.py": ""})

    monkeypatch.setattr(own_wheel, "make", make)
    monkeypatch.setattr(download, "_PAUSE", 0)
    return index


@pytest.fixture
def make(small: Index, command: Command, place: Path) -> Callable[..., Path]:
    """``tfkernels bundle tf1 …`` of the tiny release; after that, nothing of it is here any more."""

    def make(*arguments: str) -> Path:
        options = ["--index", small.url, "--output", str(place / "tf.bundle"), "--tfkernels-on", "3.12"]
        code, _, told = command("bundle", "tf1", *options, *arguments)
        assert code == 0, told
        for folder in ("home", "cache"):
            shutil.rmtree(place / folder, ignore_errors=True)
        for name in ("UV_DEFAULT_INDEX", "UV_FIND_LINKS"):
            os.environ.pop(name, None)
        small.asked.clear()
        return place / "tf.bundle"

    return make


def test_kernels_come_from_the_bundle_alone(
    make: Callable[..., Path], command: Command, small: Index, place: Path
) -> None:
    package_index.wheel(small.folder, "extra", "2.0", {"extra.py": "x = 1"})
    bundle = make("--with", "extra", "--no-pythons")
    code, out, told = command("install", "--bundle", str(bundle), "--user", "--dry-run", "--json")
    assert code == 0, told
    (plan,) = json.loads(out)
    extra = next(one for one in plan["packages"] if one["name"] == "extra")
    assert (plan["state"], plan["download"], extra["version"], extra["source"]) == (
        "would be installed", 0, "2.0", "bundle"
    )  # fmt: skip
    assert not (place / "home").exists()
    code, out, told = command("install", "--bundle", str(bundle), "--user")
    assert code == 0, told
    assert "tf1: installed. TensorFlow 1.15.5" in out
    assert not small.asked, "the index"
    assert "resolving" not in told, "the lock is in the bundle"
    (record,) = built(place)
    assert "extra==2.0" in (record.parent / "requirements.txt").read_text()
    described = json.loads((place / "jupyter" / "kernels" / "tf1" / "kernel.json").read_text())["metadata"]["tfkernels"]
    assert described["order"]["bundle"] == str(bundle)
    assert described["order"]["resolved"] is None
    assert f"--bundle {bundle}" in described["command"]
    assert not list((place / "home" / "bundles").iterdir()), "what was unpacked is deleted"
    assert not os.environ.keys() & {"UV_FIND_LINKS", "UV_OFFLINE", "UV_NO_INDEX"}

    code, out, told = command("install", "tf1", "--bundle", str(bundle), "--user", "tf1")
    assert (code, out.count("tf1: already there")) == (0, 1), told
    code, out, told = command("install", "tf1", "--user")
    assert (code, out.count("tf1: already there")) == (0, 1), "its packages are still the bundle's"

    shutil.rmtree(place / "cache")
    sick = doctor.examine("tf1")
    assert sick.remedy is None, sick
    shutil.rmtree(record.parent / "lib")
    sick = doctor.examine("tf1")
    assert sick.remedy == f"tfkernels install tf1 --user --bundle {bundle}"
    code, _, told = command(*sick.remedy.split()[1:])
    assert code == 0, told
    shutil.rmtree(built(place)[0].parent / "lib")
    code, _, told = command("install", "tf1", "--user", "--rebuild")
    assert code == 1
    again = f"tfkernels install tf1 --user --bundle {bundle}"
    assert f"Its packages came from the bundle {bundle}. To take them from there again: {again} --rebuild\n" in told
    code, _, told = command("install", "tf1", "--user", "--with", "extra2")
    assert code == 1
    assert f"To take them from there again: {again}\n" in told, "without --with, which a bundle does not take"
    bundle.rename(place / "moved")
    code, _, told = command("install", "--bundle", str(bundle), "--user", "--rebuild")
    assert code == 1
    assert f"There is no bundle {bundle}. Correct the path, or connect the disk that has it" in told
    code, out, told = command("install", "--bundle", str(place / "moved"), "--user", "--rebuild")
    assert (code, "tf1: installed" in out) == (0, True), told


def test_what_does_not_fit_a_bundle_is_refused(
    make: Callable[..., Path], command: Command, small: Index, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = make("--no-pythons")

    def refused(*arguments: str) -> str:
        code, _, told = command("install", "--user", *arguments)
        assert code in (1, 2)
        assert nothing_is_there(place)
        assert not list((place / "home").glob("bundles/*"))
        return told

    assert "omit --with, --gpu" in refused("--bundle", str(bundle), "--with", "pandas", "--gpu")
    assert "omit --only-binary, --relax" in refused("--bundle", str(bundle), "--only-binary", "--relax")
    with monkeypatch.context() as unpacking:
        unpacking.setattr(contents, "unpack", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left")))
        assert "could not be unpacked" in (told := refused("--bundle", str(bundle)))
        assert "No space left. Free some space" in told, "no name of a file, where the system says none"
        several = refused("--bundle", str(bundle), "tf1", "1.15", "--name", "one")
        assert "--name one is for one kernel, and these are several: tf1, 1.15" in several, "before the unpacking"
    content = bundle.read_bytes()
    half = place / "half"
    half.write_bytes(content[: len(content) // 2])
    assert "incomplete or damaged" in refused("--bundle", str(half))
    half.write_bytes(content.replace(b"number = 3", b"number = 4"))
    assert "is damaged: wheels/part3" in refused("--bundle", str(half))
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("tfprovisioner.catalogue.releases.platform_name", lambda: "macos-arm64")
        assert "is for linux-x86_64, and this machine is macos-arm64" in refused("--bundle", str(bundle))
    with monkeypatch.context() as bare:
        bare.setattr(find, "pythons", lambda minor: ())
        told = refused("--bundle", str(bundle))
        assert "needs Python 3.7, which is neither in the bundle" in told
        assert "tfkernels bundle tf1 --pythons" in told
    manifest = contents.read(bundle)
    with monkeypatch.context() as later:
        release = manifest.kernels[0]
        later.setattr(type(releases.find("tf1")), "lock", "other==1")
        text = refused("--bundle", str(bundle))
        assert f"takes other packages for TensorFlow {release.version}" in text
        assert f"Use the tfkernels in the bundle: python3 {bundle} ENVIRONMENT" in text


def test_a_bundle_of_another_release_is_refused(
    make: Callable[..., Path], command: Command, small: Index, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``tf1`` may be another release in a later tfkernels. The lock in the bundle would install the former one."""
    package_index.wheel(small.folder, "extra", "2.0", {"extra.py": "x = 1"})
    bundle = make("--with", "extra", "--no-pythons")
    with monkeypatch.context() as later:
        other = replace(releases.find("tf1"), version="1.15.6")
        later.setattr(releases, "find", lambda *_: other)
        code, _, told = command("install", "--bundle", str(bundle), "--user")
    assert code == 1
    assert "takes TensorFlow 1.15.6 for tf1, and the bundle has 1.15.5" in told
    folder = place / "unpacked"
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(folder)  # noqa: S202 - our own
    (path,) = (folder / "locks").iterdir()
    text = path.read_bytes().replace(b"tensorflow==1.15.5", b"tensorflow==1.15.4")
    path.write_bytes(text)
    described = json.loads((folder / "manifest.json").read_text())
    (listed,) = (one for one in described["files"] if one["path"].startswith("locks/"))
    listed.update(sha256=package_index.digest(path))
    (folder / "manifest.json").write_text(json.dumps(described))
    code, _, told = command("install", "--bundle", str(folder), "--user")
    assert code == 1
    assert "is for TensorFlow 1.15.4 on Python 3.7, and its manifest says 1.15.5 on Python 3.7" in told
    assert nothing_is_there(place)


def test_packages_that_a_bundle_lacks_are_named(
    make: Callable[..., Path], install: Callable[..., tuple[int, str]], command: Command, small: Index, place: Path
) -> None:
    package_index.wheel(small.folder, "extra", "2.0", {"extra.py": "x = 1"})
    bundle = make("--no-pythons")
    code, told = install("--with", "extra", "--index", small.url)
    assert code == 0, told
    code, _, told = command("install", "--bundle", str(bundle), "--user")
    assert code == 1
    assert "lacks packages of the kernel tf1: extra. Make a bundle with them" in told
    assert "choose another kernel name with --name" in told
    code, _, told = command("install", "--bundle", str(bundle), "--user", "--name", "other")
    assert code == 0, told


def test_a_dry_run_writes_nothing(small: Index, command: Command, place: Path) -> None:
    code, out, told = command("bundle", "tf1", "--index", small.url, "--dry-run", "--json", "-o", str(place / "x"))
    assert code == 0, told
    document = json.loads(out)
    assert [kernel["version"] for kernel in document["kernels"]] == ["1.15.5"]
    sizes = {file["name"]: file["size"] for file in document["files"]}
    assert {"tensorflow-1.15.5-py3-none-any.whl", _OWN} <= {*sizes}
    assert not (place / "x").exists()
    code, out, told = command("bundle", "tf1", "--index", small.url, "--dry-run", "-o", str(place / "x"))
    assert "tensorflow-1.15.5-py3-none-any.whl" in out
    code, _, told = command("bundle", "tf1", "--index", small.url, "--dry-run", "-o", str(place / "none" / "x"))
    assert (code, "There is no folder" in told) == (1, True), "it fails as the command would"
    code, _, told = command("bundle", "tf1", "--index", small.url, "--dry-run", "--python", "3.7.1")
    assert (code, "a bundle gets the newest Python of a minor version" in told) == (2, True)


def test_a_bundle_replaces_only_a_bundle(
    make: Callable[..., Path], command: Command, small: Index, place: Path
) -> None:
    first = make("--no-pythons").read_bytes()
    make("--no-pythons")
    assert (place / "tf.bundle").read_bytes()[:4] == first[:4]
    (place / "mine").write_text("a text of mine")
    code, _, told = command("bundle", "tf1", "--index", small.url, "--output", str(place / "mine"))
    assert code == 1
    assert "exists and is no bundle, so it is not replaced. Choose another name with -o" in told
    assert (place / "mine").read_text() == "a text of mine"
    small.dies_after = 3
    code, _, told = command("bundle", "tf1", "--index", small.url, "--no-pythons", "--output", str(place / "new"))
    assert code == 1
    assert "could not be fetched" in told
    assert not [path for path in place.iterdir() if "new" in path.name]


def test_only_the_expected_file_gets_into_a_bundle(small: Index, command: Command, place: Path) -> None:
    (elsewhere := place / "elsewhere").mkdir()
    other = package_index.wheel(elsewhere, "part3", "1.0", {"part3.py": "raise SystemExit('not for you')"})
    small.wrong = {other.name: other}
    code, _, told = command("bundle", "tf1", "--index", small.url, "--no-pythons", "--output", str(place / "tf.bundle"))
    assert code == 1
    assert "serves another file part3-1.0-py3-none-any.whl than the one that was verified" in told
    assert not (place / "tf.bundle").exists()


def test_an_index_with_a_password_is_asked_with_it(small: Index, command: Command, place: Path) -> None:
    small.user = "somebody:pass-w0rd-4711"
    url = small.url_for(small.user)
    code, out, told = command("bundle", "tf1", "--index", url, "--no-pythons", "--output", str(place / "tf.bundle"))
    assert code == 0, told
    with zipfile.ZipFile(place / "tf.bundle") as archive:
        assert b"pass-w0rd-4711" not in archive.read("manifest.json")
    assert "pass-w0rd-4711" not in out + told
    made = contents.read(place / "tf.bundle").made
    assert made["command"] == "tfkernels bundle tf1 --platform linux-x86_64"


def test_conda_packages_of_a_python_are_enough(
    make: Callable[..., Path], command: Command, server: Server, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made where the channel is, used where it is not."""
    monkeypatch.setattr(rattler_folder, "ensured", lambda report: Path(rattler.__file__).parents[1])
    monkeypatch.setattr(write, "_rattler", lambda planned, report: [])
    monkeypatch.setenv("TFKERNELS_CHANNELS", server.url)
    bundle = make("--pythons")
    (python,) = contents.read(bundle).pythons
    assert (python.minor, python.source) == ("3.7", "conda")
    assert any(path.endswith("/repodata.json") for path in python.files)
    monkeypatch.delenv("TFKERNELS_CHANNELS")
    monkeypatch.setenv("RATTLER_CACHE_DIR", str(place / "another-cache"))
    monkeypatch.setattr(find, "_candidates", list)  # a machine without Pythons
    find.forget()
    server.requests.clear()
    code, _, told = command("install", "--bundle", str(bundle), "--user")
    find.forget()
    assert code == 0, told
    assert not server.requests
    assert "installing Python 3.7" in told
    (record,) = built(place)
    assert Path(json.loads(record.read_text())["base_python"]).is_relative_to(from_conda.root())


_SYSCONFIG = "# system configuration generated and used by the sysconfig module\nbuild_time_vars = {}\n"


@pytest.fixture
def standalone(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An archive like those of python-build-standalone, a list for uv that has it, and a server that hands it out."""
    (served := place / "served").mkdir()
    archive = served / "cpython-3.12.9+20250101-x86_64-unknown-linux-gnu-install_only_stripped.tar.gz"
    real = Path(sys.executable).resolve()
    with tarfile.open(archive, "w:gz") as packed:
        for name, text in {
            "bin/python3.12": f'#!/bin/sh\nexec {real} "$@"\n',
            "lib/python3.12/_sysconfigdata_.py": _SYSCONFIG,
        }.items():
            member = tarfile.TarInfo(f"python/{name}")
            member.size, member.mode = len(text), 0o755
            packed.addfile(member, io.BytesIO(text.encode()))

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(served))

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    python = BundledPython("3.12", "3.12.9", "uv", "", (archive.name,), "cpython-3.12.9-linux-x86_64-gnu")
    listed = File(archive.name, archive.stat().st_size, package_index.digest(archive))
    described = replace(bundles.manifest(), files=(listed,), pythons=(python,))
    python_archives.described(served, described)
    text = (served / "downloads.json").read_text()
    address = f"http://127.0.0.1:{server.server_address[1]}/{quote(archive.name)}"
    (served / "list.json").write_text(text.replace(archive.as_uri(), address))
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS_JSON_URL", str(served / "list.json"))
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(place / "uv"))
    try:
        yield archive
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_standalone_python_is_bundled_unchanged(
    standalone: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = place / "packed"
    folder.mkdir()
    python, licences = pythons.fetch("3.12", platforms.find("linux-x86_64"), folder, Reporter("test"))
    assert (python.version, python.source) == ("3.12.9", "uv")
    (path,) = python.files
    assert (folder / path).read_bytes() == standalone.read_bytes()
    assert "PSF-2.0" in licences[path]
    assert [entry.name for entry in folder.iterdir()] == ["pythons"]

    monkeypatch.delenv("UV_PYTHON_DOWNLOADS_JSON_URL")
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    listed = File(path, (folder / path).stat().st_size, package_index.digest(folder / path))
    whole = replace(bundles.manifest(), files=(listed,), pythons=(python,))
    pythons.put_in_place(python, whole, folder, Reporter("test"))
    assert (place / "uv" / python.key / "bin" / "python3.12").exists()

    shutil.rmtree(place / "uv")
    wrong = replace(bundles.manifest(), files=(replace(listed, sha256="0" * 64),), pythons=(python,))
    with pytest.raises(BuildFailed, match="Hash mismatch"):
        pythons.put_in_place(python, wrong, folder, Reporter("test"))
    assert not (place / "uv" / python.key).exists()


def _without_network(*command: object, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a program that has no network, no settings and an empty home."""
    if subprocess.run(["unshare", "-rn", "ip", "link"], capture_output=True, check=False).returncode:
        pytest.skip("this system lets nobody make a network without connections")
    (cwd / "nobody").mkdir(exist_ok=True)
    alone = {"HOME": str(cwd / "nobody"), "PATH": "/usr/bin:/bin", "PYENV_ROOT": os.environ.get("PYENV_ROOT", "")}
    # Jupyter talks to its kernels over the loopback interface.
    words = ["unshare", "-rn", "sh", "-c", 'ip link set lo up; exec "$0" "$@"', *map(str, command)]
    return subprocess.run(words, cwd=cwd, env={**alone, **variables}, capture_output=True, text=True, check=False)


def test_its_program_installs_tfkernels_where_nothing_is(
    small: Index, command: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"

    def make(folder: Path, say: object) -> Path:
        package_index.wheel(
            small.folder, "uv", "0.0", {"uv-0.0.data/scripts/uv": Path(find_uv_bin()).read_bytes(), "uv.py": ""}
        )
        needs = {f"tfkernels-{tfkernels.__version__}.dist-info/METADATA": _METADATA}
        return package_index.wheel(folder, "tfkernels", tfkernels.__version__, {"tfkernels_is_here.py": "", **needs})

    monkeypatch.setattr(own_wheel, "make", make)
    options = ["--index", small.url, "--no-pythons", "--output", str(place / "tf.bundle")]
    code, _, told = command("bundle", "tf1", *options, "--tfkernels-on", here)
    assert code == 0, told
    (place / "odd 'place'").mkdir()
    shutil.copy(place / "tf.bundle", place / "odd 'place'" / "$b")
    shown = _without_network(sys.executable, "$b", cwd=place / "odd 'place'")
    line = next(line for line in shown.stdout.splitlines() if line.startswith("  python3 "))
    assert shlex.split(line) == ["python3", str(place / "odd 'place'" / "$b"), "ENVIRONMENT"]
    shown = _without_network(sys.executable, "tf.bundle", cwd=place)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "TensorFlow 1.15.5, Python 3.7" in shown.stdout
    assert f"python3 {place}/tf.bundle ENVIRONMENT" in shown.stdout
    for _ in range(2):  # safe to repeat
        done = _without_network(sys.executable, "tf.bundle", "new", cwd=place)
        assert done.returncode == 0, done.stderr
    assert f"{place}/new/bin/tfkernels install --bundle {place}/tf.bundle" in done.stdout
    script = "import tfkernels_is_here, sys; print(sys.prefix)"
    assert _without_network("new/bin/python", "-c", script, cwd=place).stdout.strip() == str(place / "new")
    assert sorted(path.name for path in place.iterdir() if "tmp" in path.name) == []

    old = next((one for one in find.pythons() if one.numbers[:2] in ([3, 6], [3, 7])), None)
    if old is not None:
        done = _without_network(old.path, "tf.bundle", cwd=place)
        assert done.stderr == "error: this bundle needs Python 3.8 or newer. Run it with another python3.\n"
    folder = place / "unpacked"
    with zipfile.ZipFile(place / "tf.bundle") as archive:
        archive.extractall(folder)  # noqa: S202 - our own
        manifest = json.loads(archive.read("manifest.json"))
    assert _without_network(sys.executable, folder, "other", cwd=place).returncode == 0
    (folder / "manifest.json").write_text(json.dumps({**manifest, "own_pythons": ["3.99"]}))
    done = _without_network(sys.executable, folder, "third", cwd=place)
    assert done.returncode == 1
    assert f"on Python 3.99, and this is Python {here}. Run it with such a Python: python3.99" in done.stderr
    (folder / "manifest.json").write_text(json.dumps({**manifest, "platform": "macos-arm64"}))
    done = _without_network(sys.executable, folder, "third", cwd=place)
    assert done.returncode == 1
    assert "is for macos-arm64" in done.stderr
    assert not (place / "third").exists()


_METADATA = f"Metadata-Version: 2.1\nName: tfkernels\nVersion: {tfkernels.__version__}\nRequires-Dist: uv\n"


def test_left_overs_of_a_killed_installation_are_garbage(place: Path) -> None:
    left = place / "home" / "bundles" / "bundle-0123.build-abc"
    (left / "wheels").mkdir(parents=True)
    assert str(left) in [item.path for item in gc.collect(dry_run=True)]
    gc.collect()
    assert not left.exists()


def test_the_wheel_of_an_installed_tfkernels_is_the_same_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it was not installed from a checkout: made of the installed files."""
    files = {
        "tfkernels/__init__.py": "x = 1\n",
        f"tfkernels-{tfkernels.__version__}.dist-info/entry_points.txt": "[a]\n",
    }
    first = package_index.wheel(tmp_path, "tfkernels", tfkernels.__version__, files)
    command = [find_uv_bin(), "pip", "install", "--quiet", "--offline", "--no-deps", "--target", str(tmp_path / "site")]
    subprocess.run([*command, "--python", sys.executable, str(first)], check=True)
    installed = next(iter(distributions(name="tfkernels", path=[str(tmp_path / "site")])))
    monkeypatch.setattr(own_wheel, "distribution", lambda name: installed)
    (tmp_path / "again").mkdir()
    again = own_wheel.make(tmp_path / "again", lambda line: None)

    def content(path: Path) -> dict[str, bytes]:
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist() if not name.endswith("RECORD")}

    assert again.name == first.name
    assert content(again) == content(first)


_MAGIC = """
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook
cells = ["%load_ext tfkernels", "%%tf1.15 -o version\\nimport tensorflow\\nversion = tensorflow.__version__"]
cells += ["import tensorflow; print(version, tensorflow.__version__)"]
notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
notebook.metadata["kernelspec"] = {"name": "tf2.21", "display_name": "", "language": "python"}
NotebookClient(notebook, timeout=300).execute()
print(notebook.cells[-1].outputs[0].text)
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_from_nothing_to_a_cell_in_both_kernels(tmp_path: Path) -> None:
    """The README's way, with the real TensorFlow 1.15 and 2.21: 600 MB are downloaded."""
    arguments = [
        "bundle",
        "1.15",
        "2.21",
        "--with",
        "matplotlib",
        "--no-pythons",
        "--output",
        str(tmp_path / "tf.bundle"),
    ]
    made = subprocess.run(commands.command(*arguments), capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    size = (tmp_path / "tf.bundle").stat().st_size
    assert size < 600_000_000
    root = {"PYENV_ROOT": str(Path.home() / ".pyenv")} if (Path.home() / ".pyenv").is_dir() else {}
    done = _without_network(sys.executable, "tf.bundle", "env", cwd=tmp_path, **root)
    assert done.returncode == 0, done.stderr
    started = time.monotonic()
    done = _without_network("env/bin/tfkernels", "install", "--bundle", "tf.bundle", cwd=tmp_path, **root)
    print(f"{size / 1e6:.0f} MB, installed in {time.monotonic() - started:.0f} s")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": installed. ") == 2
    run = _without_network("env/bin/python", "-c", _MAGIC, cwd=tmp_path, **root)
    assert "1.15.5 2.21.0" in run.stdout, run.stderr
