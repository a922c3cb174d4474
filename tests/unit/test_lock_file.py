"""Lock files: what is written is read again, and nothing but pins and hashes is accepted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tfprovisioner.catalogue import releases
from tfprovisioner.errors import BadLock, BadRequirement
from tfprovisioner.gpu import cuda
from tfprovisioner.requirements import lock_file
from tfprovisioner.requirements.lock_file import Lock, parsed
from tfprovisioner.requirements.request import USUAL, InstallRequest, Recipe

_HASH = f"--hash=sha256:{'0' * 64}"
_SMALL = f"ipykernel==6.16.2 {_HASH}\ntensorflow==1.15.5 {_HASH}\n"


def verified(release: str, platform: str = "") -> Lock:
    known = releases.find(release)
    assert known.lock is not None
    return Lock.of(known.lock, known.pythons[0], platform or releases.platform_name(), "mine")


@pytest.mark.parametrize("release", ["1.0", "1.15", "2.11", "2.21"])
def test_written_locks_are_read_back(release: str) -> None:
    lock = verified(release)
    assert parsed(lock.file(), "file") == lock
    assert lock.is_verified
    assert lock.beyond_verified == []
    assert (lock.release, lock.kernel) == (releases.find(release).version, "mine")
    assert lock.text == releases.find(release).lock, "so both have one recipe"


def test_locks_with_cuda_are_recognized() -> None:
    text = cuda.lock(releases.find("2.11"))
    assert text is not None
    lock = parsed(Lock.of(text, "3.10", "linux-x86_64").file(), "file")
    assert (lock.gpu, lock.is_verified, lock.tensorflow.name) == (True, True, "tensorflow")
    assert not verified("2.11", "linux-x86_64").gpu


def test_packages_beyond_the_verified_set_are_named() -> None:
    text = verified("1.15").text.replace("numpy==1.18.5 ", "numpy==1.16.2 ") + f"pandas==1.3.5 {_HASH}\n"
    lock = parsed(text, "file")
    assert lock.beyond_verified == ["numpy==1.16.2", "pandas==1.3.5"]
    assert lock.fingerprint != verified("1.15").fingerprint
    other_files = parsed(text.replace("0" * 64, "1" * 64), "file")
    assert (other_files.fingerprint, other_files == lock) == (lock.fingerprint, False)


def test_locks_of_other_programs_need_no_heading() -> None:
    """As ``uv pip compile --generate-hashes`` writes them."""
    lock = parsed(f"# made by somebody\n{_SMALL}", "file")
    assert (lock.release, lock.python, lock.platform) == ("1.15.5", "3.7", releases.platform_name())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--index-url https://example.org/simple", "('--index-url https://example.org/****')"),
        ("--extra-index-url https://me:secret@example.org/simple", "line 3"),
        ("-r other.txt", "'-r other.txt'"),
        ("-e .", "'-e .'"),
        ("./wheels/numpy-1.0-py3-none-any.whl", "line 3"),
        (f"numpy @ https://example.org/numpy.whl {_HASH}", "line 3"),
        (f"numpy @ file:///etc/passwd {_HASH}", "line 3"),
        (f"numpy>=1.0 {_HASH}", "line 3"),
        (f"numpy[all]==1.0 {_HASH}", "line 3"),
        ("numpy==1.0", "line 3"),
        ("numpy==1.0 --hash=md5:0", "line 3"),
        (f"numpy==1.0 {_HASH} --no-binary :all:", "line 3"),
        (f"numpy==1.0 {_HASH} --config-settings=x", "line 3"),
        (f"numpy==x.y {_HASH}", "version or marker"),
        (f"numpy==1.0 ; what > '3' {_HASH}", "version or marker"),
        (f"numpy==1.0 ; {'(' * 1000}python_version > '3'{')' * 1000} {_HASH}", "line 3"),
        (f"num\x1b[2Jpy==1.0 {_HASH}", r"num\x1b[2Jpy==1.0"),
        (f"numpy==1.0 {_HASH} \\\nx", "line 3"),
        (f"numpy==1.0 ;{' ' * 100_000}x", "line 3"),
        (f"tensorflow==2.11.0 {_HASH}", "two versions of tensorflow"),
        (f"tensorflow-cpu==1.15.5 {_HASH}", "has both tensorflow and tensorflow-cpu"),
    ],
)
def test_other_lines_are_refused(line: str, said: str) -> None:
    with pytest.raises(BadLock) as caught:
        parsed(f"{_SMALL}{line}\n", "file")
    message = str(caught.value)
    assert message.startswith("file is not a lock: ")
    assert said in message
    assert "secret" not in message
    assert "\x1b" not in message
    assert len(message) < 400
    assert message.endswith("Make one with: tfkernels lock KERNEL > FILE")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it has no TensorFlow"),
        (f"ipykernel==6.0 {_HASH}", "it has no TensorFlow"),
        (f"tensorflow==1.15.5 {_HASH}", "it has no ipykernel"),
        (f"# python: 3.10\n{_SMALL}", "for Python 3.10, and TensorFlow 1.15.5 has wheels for 3.7"),
        (f"# python: ../x\n{_SMALL}", "is not a Python version"),
        (f"# platform: amiga\n{_SMALL}", "a machine that TensorFlow has no wheels for"),
        (f"# platform: macos-arm64\n{_SMALL}", "Let tfkernels choose them here: tfkernels install 1.15.5"),
    ],
)
def test_locks_for_something_else_are_refused(text: str, said: str) -> None:
    with pytest.raises(BadLock, match=said):
        parsed(text, "file")


def test_the_catalogues_locks_hold_on_every_platform() -> None:
    elsewhere = verified("2.21", "macos-arm64")
    assert parsed(elsewhere.file(), "file").platform == "macos-arm64"


def test_large_and_binary_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_file, "MAX_BYTES", 1000)
    for content, said in ((b"#" * 1001, "more than"), (b"\xff\xfe", "it is not text")):
        (tmp_path / "lock").write_bytes(content)
        with pytest.raises(BadLock, match=said):
            lock_file.read(tmp_path / "lock")
    with pytest.raises(BadLock, match="No such file"):
        lock_file.read(tmp_path / "none")


def test_a_lock_decides_about_all_packages() -> None:
    text = verified("1.15").file()
    first = InstallRequest("1.15.5", "mine", lock=text).completed(None)
    assert (first.python, first.gpu) == ("3.7", False)
    assert Recipe.of(first, "3.7").lock == Recipe.of(InstallRequest("1.15.5"), "3.7").lock
    assert first.command == "tfkernels install --name mine --lock FILE --python 3.7", "it has none yet"
    assert replace(first, lock="/x/lock.txt").command == "tfkernels install --name mine --lock /x/lock.txt --python 3.7"
    kept = InstallRequest("tf1", "mine").completed(first)
    assert kept.lock == text
    assert InstallRequest("tf1", "mine", lock=USUAL).completed(first).lock is None
    for more in ({"extras": ("pandas",)}, {"without": ("numpy",)}, {"backend": "conda"}, {"gpu": True}, {"gpu": False}):
        with pytest.raises(BadRequirement, match=r"made from a lock.*--lock usual"):
            replace(InstallRequest("tf1", "mine"), **more).completed(first)
    with pytest.raises(BadLock, match=r"is made from a lock of TensorFlow 1\.15\.5"):
        InstallRequest("1.14", "mine").completed(first)
