"""A bundle is read only if it is whole, for this machine, and has nothing that could be written elsewhere."""

from __future__ import annotations

import json
import stat
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import bundles
from tests.support.bundles import FILES, WHEEL
from tfprovisioner.bundles import contents
from tfprovisioner.bundles.contents import File
from tfprovisioner.errors import BadBundle


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return bundles.write(tmp_path / "tf.bundle", bundles.manifest())


def test_what_was_written_is_read_again(bundle: Path, tmp_path: Path) -> None:
    assert contents.read(bundle) == bundles.manifest()
    contents.unpack(bundle, tmp_path / "there", FILES)
    assert {name: (tmp_path / "there" / name).read_bytes() for name in FILES} == FILES


def test_a_folder_of_its_files_is_a_bundle(bundle: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(tmp_path / "folder")
    assert contents.read(tmp_path / "folder") == bundles.manifest()
    contents.unpack(tmp_path / "folder", tmp_path / "there", [WHEEL])
    (tmp_path / "folder" / WHEEL).write_bytes(b"A WHEEL")
    with pytest.raises(BadBundle, match="another hash"):
        contents.unpack(tmp_path / "folder", tmp_path / "elsewhere", [WHEEL])
    (tmp_path / "folder" / WHEEL).unlink()
    (tmp_path / "folder" / WHEEL).symlink_to("/etc/passwd")
    with pytest.raises(BadBundle, match="is a link"):
        contents.read(tmp_path / "folder")


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.95])
def test_a_truncated_bundle_is_refused(bundle: Path, kept: float) -> None:
    content = bundle.read_bytes()
    bundle.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(BadBundle, match=r"is incomplete or damaged: .* Copy the bundle again"):
        contents.read(bundle)


def test_a_changed_byte_is_noticed(bundle: Path, tmp_path: Path) -> None:
    content = bundle.read_bytes()
    bundle.write_bytes(content.replace(b"a wheel", b"a whEel"))
    with pytest.raises(BadBundle, match=f"is damaged: {WHEEL}"):
        contents.unpack(bundle, tmp_path / "there", [WHEEL])


def test_a_changed_manifest_is_noticed(bundle: Path) -> None:
    bundle.write_bytes(bundle.read_bytes().replace(b'"0.1.0"', b'"0.1.9"', 1))
    with pytest.raises(BadBundle, match=r"is damaged: manifest.json"):
        contents.read(bundle)


def test_a_file_with_another_hash_is_refused(tmp_path: Path) -> None:
    """Unlike a damaged one, it has the checksum of the zip file."""
    other = bundles.write(tmp_path / "tf.bundle", bundles.manifest(), {**FILES, WHEEL: b"A WHEEL"})
    with pytest.raises(BadBundle, match="another hash than its manifest"):
        contents.unpack(other, tmp_path / "there", [WHEEL])


_OUTSIDE = [
    "../evil",
    "wheels/../../evil",
    "/tmp/evil",
    "wheels//evil",
    "./evil",
    "wheels\\evil",
    "C:/evil",
    "ev\x00il",
]


@pytest.mark.parametrize("path", _OUTSIDE)
def test_a_path_that_leads_outside_is_refused(tmp_path: Path, path: str) -> None:
    files = {**FILES, path: b"evil"}
    evil = bundles.write(tmp_path / "tf.bundle", bundles.manifest(files), files)
    with pytest.raises(BadBundle, match=r"is refused|not a bundle"):
        contents.read(evil)
    named = bundles.write(tmp_path / "tf.bundle", bundles.manifest(own_files=(path,)))
    with pytest.raises(BadBundle, match=r"is refused|not a bundle"):
        contents.read(named)


def test_a_link_is_refused(tmp_path: Path) -> None:
    files = {**FILES, "wheels/link": b"/etc/passwd"}
    bundle = bundles.write(tmp_path / "tf.bundle", bundles.manifest(files))
    entry = zipfile.ZipInfo("wheels/link")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(bundle, "a") as archive:
        archive.writestr(entry, b"/etc/passwd")
    with pytest.raises(BadBundle, match="is a link"):
        contents.read(bundle)


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    files = {**FILES, "wheels/zeros": bytes(1_000_000)}
    bomb = bundles.write(tmp_path / "tf.bundle", bundles.manifest(files), files, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(BadBundle, match="is compressed, and bundles are not"):
        contents.read(bomb)


def test_files_that_lie_over_each_other_are_refused(tmp_path: Path) -> None:
    files = {**FILES, **{f"wheels/{number}": bytes(100_000) for number in range(3)}}
    described = bundles.manifest(files)
    whole = bundles.write(tmp_path / "tf.bundle", described, {**FILES, "wheels/0": bytes(100_000)})
    with zipfile.ZipFile(whole, "a") as archive:
        first = archive.getinfo("wheels/0")
        for number in (1, 2):  # further names for the same bytes
            entry = zipfile.ZipInfo(f"wheels/{number}")
            entry.file_size, entry.compress_size, entry.CRC = first.file_size, first.compress_size, first.CRC
            entry.header_offset = first.header_offset
            archive.filelist.append(entry)
            archive.NameToInfo[entry.filename] = entry
        archive._didModify = True  # type: ignore[attr-defined]
    with pytest.raises(BadBundle, match="its files are larger than itself"):
        contents.read(whole)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name_are_refused(bundle: Path) -> None:
    with zipfile.ZipFile(bundle, "a") as archive:
        archive.writestr(WHEEL, b"a wheel")
    with pytest.raises(BadBundle, match="twice"):
        contents.read(bundle)


@pytest.mark.parametrize(
    ("listed", "present"),
    [({**FILES, "a": b"1"}, FILES), (FILES, {**FILES, "a": b"1"}), ({**FILES, "a": b"1"}, {**FILES, "a": b"12"})],
    ids=["missing", "unlisted", "of another size"],
)
def test_files_are_those_of_the_manifest(tmp_path: Path, listed: dict[str, bytes], present: dict[str, bytes]) -> None:
    with pytest.raises(BadBundle, match="'a' is not as in its manifest"):
        contents.read(bundles.write(tmp_path / "tf.bundle", bundles.manifest(listed), present))
    with pytest.raises(BadBundle, match="'absent' is not as in its manifest"):
        contents.read(bundles.write(tmp_path / "tf.bundle", bundles.manifest(own_files=("absent",))))


def _changed(change: Callable[[dict[str, object]], object]) -> str:
    content = json.loads(bundles.manifest().to_json())
    change(content)
    return json.dumps(content)


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "null", "{}", "[" * 100_000, b"\xff\xfe", _changed(lambda m: m.pop("files")),
        _changed(lambda m: m.update(platform=7)), _changed(lambda m: m.update(files=[7])),
        _changed(lambda m: m.update(tfkernels="0.1\x1b[2J")), _changed(lambda m: m.update(kernels=[{"release": "1"}])),
        _changed(lambda m: m.update(files=[{"path": "x", "size": -1, "sha256": ""}])),
        _changed(lambda m: m.update(made=["x"])), _changed(lambda m: m.update(own_files="wheels")),
    ],
)  # fmt: skip
def test_a_manifest_of_another_shape_is_refused(tmp_path: Path, text: str | bytes) -> None:
    with pytest.raises(BadBundle, match="its manifest cannot be read") as refused:
        contents.read(bundles.write(tmp_path / "tf.bundle", text))
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"source": "pip"}, "a source that is unknown"),
        ({"files": []}, "has no files"),
        ({"key": "python"}, "the key 'python' of Python '3.13.0' is not one of uv's"),
        ({"key": "cpython-3.12.0-linux-x86_64-gnu"}, "is not one of uv's"),
        ({"version": "3", "key": "cpython-3-linux-x86_64-gnu"}, "is not one of uv's"),
    ],
)
def test_a_python_of_a_bundle_can_be_installed(tmp_path: Path, changed: dict[str, object], said: str) -> None:
    python = {
        "minor": "3.13", "version": "3.13.0", "source": "uv", "licence": "", "files": [WHEEL],
        "key": "cpython-3.13.0-linux-x86_64-gnu",
    }  # fmt: skip
    assert contents.read(bundles.write(tmp_path / "good", _changed(lambda m: m.update(pythons=[python])))).pythons
    odd = bundles.write(tmp_path / "tf.bundle", _changed(lambda m: m.update(pythons=[{**python, **changed}])))
    with pytest.raises(BadBundle, match=said):
        contents.read(odd)


def test_a_lock_of_a_kernel_is_in_the_bundle(tmp_path: Path) -> None:
    (kernel,) = bundles.manifest().kernels
    odd = bundles.manifest(kernels=(replace(kernel, lock="locks/tf1.15.txt"),))
    with pytest.raises(BadBundle, match=r"the lock of '1.15' is not among its files"):
        contents.read(bundles.write(tmp_path / "tf.bundle", odd))


def test_a_later_format_is_named(tmp_path: Path) -> None:
    later = _changed(lambda m: m.update(format=2, pythons="other"))
    with pytest.raises(BadBundle, match="has format 2, and this tfkernels reads format 1"):
        contents.read(bundles.write(tmp_path / "tf.bundle", later))


def test_fields_of_later_versions_are_left_out(tmp_path: Path) -> None:
    later = _changed(lambda m: m.update(colour="blue"))
    assert contents.read(bundles.write(tmp_path / "tf.bundle", later)) == bundles.manifest()


def test_a_huge_manifest_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "_LARGEST_MANIFEST", 100)
    with pytest.raises(BadBundle, match=r"its manifest has .* bytes"):
        contents.read(bundles.write(tmp_path / "tf.bundle", bundles.manifest()))


def test_another_platform_needs_another_bundle(tmp_path: Path) -> None:
    elsewhere = bundles.manifest(platform="macos-arm64")
    with pytest.raises(BadBundle, match=r"tfkernels bundle 1.15 --platform linux-riscv64"):
        contents.check_platform(tmp_path, elsewhere, "linux-riscv64")
    contents.check_platform(tmp_path, elsewhere, "macos-arm64")


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip file at all" * 100])
def test_any_other_file_is_no_bundle(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(BadBundle, match="is not a bundle of tfkernels"):
        contents.read(tmp_path / "file")
    with pytest.raises(BadBundle, match="There is no bundle"):
        contents.read(tmp_path / "absent")
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadBundle, match=r"it has no manifest.json"):
        contents.read(tmp_path / "folder")


def test_a_file_that_is_listed_twice_is_refused(tmp_path: Path) -> None:
    twice = bundles.manifest()
    twice = replace(twice, files=(*twice.files, File(WHEEL, 7, "0" * 64)))
    with pytest.raises(BadBundle, match="a file twice"):
        contents.read(bundles.write(tmp_path / "tf.bundle", twice))
