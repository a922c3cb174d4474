"""Bundles: made here with an index, installed there without network."""

from __future__ import annotations

import errno
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import package_index
from tests.support.bundles import OWN_WHEEL
from tests.support.commands import built, nothing_is_there
from tests.support.package_index import Index
from tfprovisioner.bundles import contents
from tfprovisioner.catalogue import releases
from tfprovisioner.kernelspecs import doctor, gc
from tfprovisioner.pythons import find

Command = Callable[..., tuple[int, str, str]]


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
    assert "unpacking" not in told, "nothing is needed"
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
        archive.extractall(folder)
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
    assert {"tensorflow-1.15.5-py3-none-any.whl", OWN_WHEEL} <= {*sizes}
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


def test_left_overs_of_a_killed_installation_are_garbage(place: Path) -> None:
    left = place / "home" / "bundles" / "bundle-0123.build-abc"
    (left / "wheels").mkdir(parents=True)
    assert str(left) in [item.path for item in gc.collect(dry_run=True)]
    gc.collect()
    assert not left.exists()
