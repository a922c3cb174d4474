"""More packages in a kernel: resolved together with what was verified, kept, taken out again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tfprovisioner.environments import resolve
from tfprovisioner.errors import BadRequirement
from tfprovisioner.requirements import files, lines

ONE, TWO = "1" * 64, "b" * 64
"""SHA-256 of two files."""


def test_pinned_packages_keep_their_version() -> None:
    pins = {"numpy": "1.18.5", "h5py": "2.10.0"}
    resolve.check(["numpy>=1.16", "pandas", "h5py>=3 ; python_version < '3'"], pins, "1.15.5", "3.7.16")
    with pytest.raises(BadRequirement, match=r"'H5Py>=3'.*verified together with H5Py==2\.10\.0"):
        resolve.check(["H5Py>=3"], pins, "1.15.5", "3.7.16")


def test_markers_are_those_of_the_kernels_python() -> None:
    pins = {"numpy": "1.18.5"}
    lines = ["numpy>=1.20 ; python_version >= '3.8'", "numpy<1.19 ; python_full_version < '3.7.17'"]
    resolve.check(lines, pins, "1.15.5", "3.7.16")
    with pytest.raises(BadRequirement, match=r"numpy>=1\.20 ; .*numpy==1\.18\.5"):
        resolve.check(lines, pins, "2.4.4", "3.8.2")
    resolve.check(["numpy<1.19 ; sys_platform != 'linux'"], {"numpy": "1.21"}, "2.4.4", "3.8")


def test_redundant_tensorflow_requirements_are_noted() -> None:
    lines = ["tensorflow==2.11.1", "tensorflow-gpu", "tensorflow-cpu", "tensorflow ; python_version < '3'", "numpy"]
    assert list(resolve.redundant(lines, {"tensorflow-cpu": "2.11.1", "numpy": "1.2"}, "3.10")) == [
        "'tensorflow==2.11.1' adds nothing: TensorFlow is there already, as tensorflow-cpu 2.11.1",
        "'tensorflow-gpu' adds nothing: TensorFlow is there already, as tensorflow-cpu 2.11.1; for GPUs use --gpu",
    ]


def test_requirement_files(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text(
        f"# comment\n\npandas  # another\nmatplotlib<3.5 \\\n    --hash=sha256:{ONE} \\\n"
        f"    --hash sha256:{TWO.upper()}\n"
        "-r more/more.txt\nname @ https://example.org/name-1.0-py3-none-any.whl\n"
    )
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "more.txt").write_text("tqdm\n--constraint pins.txt\npandas\n")
    (tmp_path / "more" / "pins.txt").write_text("numpy<1.19\n")
    read = files.read(file)
    name = "name @ https://example.org/name-1.0-py3-none-any.whl"
    hashed = f"matplotlib<3.5 --hash=sha256:{ONE} --hash=sha256:{TWO.upper()}"
    assert read == ("pandas", hashed, "tqdm", "-c numpy<1.19", name)
    assert lines.divided(read) == (["pandas", hashed, "tqdm", name], ["numpy<1.19"])
    assert lines.hashes_of(hashed) == [ONE, TWO]
    assert lines.name_of(hashed) == "matplotlib"
    assert list(map(lines.checked, read)) == list(read), "as the command of the kernel says it"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_requirement_files_with_byte_order_marks(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("\ufeffpandas\ntqdm\n" if encoding == "utf-16-le" else "pandas\ntqdm\n", encoding=encoding)
    assert files.read(file) == ("pandas", "tqdm")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("--index-url https://me:secret@example.org/simple", "has '--index-url'.* Delete it"),
        ("-r more.txt --find-links https://secret.example.org", "has '--find-links'"),
        ("-e .", "has '-e'.*only packages"),
        ("six --global-option=secret", "has '--global-option'"),
        (f"six --hash=sha512:{'0' * 128}", "'six' has a hash that is not"),
        ("six @ https://me:secret@example.org/six.whl --hash=md5:00", "six.whl' has a hash that is not"),
        ("-r requirements.txt", "'-r requirements.txt' in .* cannot be used: maximum recursion depth"),
        ("-r none.txt", r"cannot be read: .*No such file.*none\.txt"),
        ("-r https://me:secret@example.org/more.txt", r"cannot be read: .*No such file.*example\.org"),
        ("dependencies:\n  - numpy", "'- numpy' is no requirement"),
        ("numpy=1.19=py37_0", "'numpy=1.19=py37_0' is no requirement"),
    ],
)
def test_unusable_requirement_files_say_why(tmp_path: Path, content: str, told: str) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text(content)
    (tmp_path / "more.txt").touch()
    with pytest.raises(BadRequirement, match=told) as refused:
        files.read(file)
    assert "secret" not in str(refused.value)


def test_condas_environment_files_are_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "environment.yml"
    file.write_text("numpy\n")
    with pytest.raises(BadRequirement, match=r"environment\.yml is not a requirement file.* --with"):
        files.read(file)


def test_one_with_may_name_several_packages() -> None:
    assert lines.split("pandas<2,>=1, tqdm,x[a,b]") == ["pandas<2,>=1", "tqdm", "x[a,b]"]
    for line in ("pandas", "pandas>1,<2", "x[a,b]", "x @ https://example.org/x-1,2.whl", "two words"):
        assert lines.split(line) == [line]


def test_newer_requirements_replace_older_ones() -> None:
    assert lines.merged(["tqdm<4.60", "pandas"], ["TQDM>=4.66"], ["pandas"]) == ("TQDM>=4.66",)
    kept = ("numpy<1.20 ; python_version < '3.8'", "numpy>=1.20 ; python_version >= '3.8'", "six")
    assert lines.merged((), kept) == kept, "lines that are given together all hold"
    assert lines.merged(kept, ["pandas>=1", "pandas<2"]) == (*kept, "pandas>=1", "pandas<2")
    assert lines.merged(kept, ["numpy"]) == ("six", "numpy")
    assert lines.merged(kept, (), ["numpy"]) == ("six",)
    with pytest.raises(BadRequirement, match=r"--without scipy: the kernel was not made with it.*tqdm, pandas"):
        lines.merged(["tqdm<4.60", "pandas"], [], ["scipy"])


@pytest.mark.parametrize("line", ["./folder", "git+https://example.org/x", "two words", ""])
def test_what_is_no_requirement_is_refused(line: str) -> None:
    with pytest.raises(BadRequirement, match="!pip install") as refused:
        lines.checked(line)
    for example in re.findall(r"'([^']*)'", str(refused.value).partition("versions:")[2]):
        lines.checked(example.replace("…", "example.org"))
