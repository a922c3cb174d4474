"""Files of requirements: what is taken of them, what is not, and where that stands."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tfprovisioner.errors import BadRequirement
from tfprovisioner.requirements import files, lines
from tfprovisioner.requirements.file_content import Content

ONE, TWO = "1" * 64, "b" * 64
"""SHA-256 of two files."""


def read(folder: Path, text: str, name: str = "requirements.txt", encoding: str = "utf-8") -> Content:
    (folder / name).write_text(text, encoding=encoding)
    return files.read([folder / name])


def noted(content: Content, folder: Path) -> list[str]:
    """The notes, with file names in place of paths."""
    return [note.replace(f"{folder}/", "") for note in content.notes]


def test_requirement_files_include_others(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "more.txt").write_text("tqdm\n--constraint pins.txt\npandas\n")
    (tmp_path / "more" / "pins.txt").write_text("numpy<1.19\n")
    content = read(
        tmp_path,
        f"# comment\n\npandas  # another\nmatplotlib<3.5 \\\n    --hash=sha256:{ONE} \\\n"
        f"    --hash sha256:{TWO.upper()}\n"
        "-r more/more.txt\nname @ https://example.org/name-1.0-py3-none-any.whl\n",
    )
    name = "name @ https://example.org/name-1.0-py3-none-any.whl"
    hashed = f"matplotlib<3.5 --hash=sha256:{ONE} --hash=sha256:{TWO.upper()}"
    assert content.lines == ("pandas", hashed, "tqdm", "-c numpy<1.19", name)
    assert [line.place.rpartition("/")[2] for line in content.requirements] == [
        "requirements.txt:3", "requirements.txt:4", "more.txt:1", "pins.txt:1", "more.txt:3", "requirements.txt:8"
    ]  # fmt: skip
    assert lines.divided(content.lines) == (["pandas", hashed, "tqdm", name], ["numpy<1.19"])
    assert lines.hashes_of(hashed) == [ONE, TWO]
    assert lines.name_of(hashed) == "matplotlib"
    assert list(map(lines.checked, content.lines)) == list(content.lines), "as the command of the kernel says it"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32", "latin-1"])
def test_requirement_files_have_any_encoding(tmp_path: Path, encoding: str) -> None:
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    content = read(tmp_path, f"{mark}# für später\r\npandas\t>=\t1\r\ntqdm\r\n", encoding=encoding)
    assert content.lines == ("pandas\t>=\t1", "tqdm")


@pytest.mark.parametrize(
    ("line", "taken"),
    [
        ("numpy == 1.16;", "numpy == 1.16"),
        ("'numpy>=1.16',", "numpy>=1.16"),
        ('pywin32 ; sys_platform == "win32"', 'pywin32 ; sys_platform == "win32"'),
        ("Pillow==6.0.*  # old", "Pillow==6.0.*"),
        ("dataclasses", "dataclasses"),
        ("https://example.org/x-1.0-py3-none-any.whl", "x @ https://example.org/x-1.0-py3-none-any.whl"),
        ("https://example.org/tensorflow_gpu-1.8.0-cp36-cp36m-linux_x86_64.whl", "tensorflow-gpu==1.8.0"),
        ("./tensorflow-1.8.0-cp36-cp36m-linux_x86_64.whl", "tensorflow==1.8.0"),
    ],
)
def test_requirement_lines_are_taken_as_meant(tmp_path: Path, line: str, taken: str) -> None:
    content = read(tmp_path, f"{line}\n")
    assert content.lines == (taken,)
    assert not content.notes


@pytest.mark.parametrize(
    ("line", "taken", "note"),
    [
        ("numpy @ file:///tmp/build/80754af9/numpy_1/work", "numpy", "'numpy' is taken for a file of the machine"),
        ("x @ file:///none/x-2.0-py3-none-any.whl", "x==2.0", "'x==2.0' is taken for a file of the machine where"),
        ("sklearn==0.0", "scikit-learn", "'sklearn' is an old name, and scikit-learn is taken"),
        ("sklearn<0.22 ; python_version<'3'", 'scikit-learn<0.22; python_version < "3"', "scikit-learn is taken"),
        ("logging", None, "left out 'logging': Python has this module itself"),
        ("pkg-resources==0.0.0", None, "left out 'pkg-resources==0.0.0': Ubuntu's pip freeze lists it by mistake"),
        ("-e .", None, "left out '.': tfkernels installs packages of an index. In a cell of the kernel: %pip"),
        ("-e ..[test]", None, "%pip install -e '{parent}[test]'"),
        ("./none", None, "left out './none': there is no such file"),
        ("git+https://github.com/a/b.git@v1", None, "kernel: %pip install git+https://github.com/a/b.git@v1"),
        ("-e git+ssh://git@github.com/a/b.git#egg=b", None, "%pip install 'git+ssh://github.com/a/b.git#egg=b'"),
        ("b @ git+https://me:secret@github.com/a/b", None, "%pip install 'b @ git+https://github.com/a/b'"),
        ("https://github.com/a/b/archive/master.zip", None, "%pip install https://github.com/a/b/archive/master.zip"),
        ("--extra-index-url https://me:secret@example.org/x", None, "UV_INDEX"),
        ("-f https://secret.example.org/whl", None, "left out --find-links https://secret.example.org/****: files"),
        ("--pre", None, "left out --pre: name an exact"),
        ("six --global-option=secret", "six", "left out --global-option: packages are built without options"),
    ],
)  # fmt: skip
def test_requirement_lines_not_taken_say_what_to_do(tmp_path: Path, line: str, taken: str | None, note: str) -> None:
    content = read(tmp_path, f"# first\n{line}\n")
    assert content.lines == ((taken,) if taken else ())
    (told,) = noted(content, tmp_path)
    assert told.startswith("requirements.txt:2: ")
    assert note.format(folder=tmp_path, parent=tmp_path.parent) in told
    assert "secret@" not in told


@pytest.mark.parametrize(
    "line",
    ["-i https://mirrors.aliyun.com/pypi/simple", "--trusted-host example.org", "--prefer-binary", "--require-hashes"],
)
def test_options_without_effect_are_taken_silently(tmp_path: Path, line: str) -> None:
    content = read(tmp_path, f"{line}\nsix\n")
    assert content.lines == ("six",)
    assert not content.notes


def test_requirement_files_are_included_once(tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text(f"-r ../{tmp_path.name}/requirements.txt\ntqdm\n")
    content = read(tmp_path, f"-r ../{tmp_path.name}/more.txt\n-r more.txt\n-r requirements.txt\nsix\n")
    assert [line.text for line in content.requirements] == ["tqdm", "six"]


def test_requirement_files_may_be_pipes(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as end:
        end.write("pandas\ntqdm\n")
    assert files.read([Path(f"/dev/fd/{reading}")]).lines == ("pandas", "tqdm")
    os.close(reading)


def test_wheels_beside_a_requirement_file_are_taken(tmp_path: Path) -> None:
    wheel = tmp_path / "x-1.0-py3-none-any.whl"
    wheel.touch()
    assert read(tmp_path, "./x-1.0-py3-none-any.whl\n").lines == (f"x @ {wheel.as_uri()}",)


def test_an_index_in_a_file_needs_the_users_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UV_DEFAULT_INDEX", raising=False)
    monkeypatch.delenv("UV_INDEX_URL", raising=False)
    for line in ("--index-url https://me:secret@example.org/simple", "--no-index"):
        with pytest.raises(
            BadRequirement, match=r"requirements\.txt:1 names .* with --index; .* delete the line"
        ) as refused:
            read(tmp_path, f"{line}\nsix\n")
        assert "secret" not in str(refused.value)
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://example.org/simple")  # as --index does
    assert read(tmp_path, "-i https://example.org/simple\nsix\n").lines == ("six",)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (f"six --hash=sha512:{'0' * 128}", ":1: 'six' has a hash that is not"),
        ("\nsix @ https://me:secret@example.org/six-1-py3-none-any.whl --hash=md5:00", ":2: .* has a hash that is not"),
        ("\n-r none.txt", r":2 includes .*none\.txt, and there is no such file"),
        ("-r https://me:secret@example.org/more.txt", ":1 includes https.*files of the web are not read"),
        ("six\ndependencies:\n  - numpy", ":2: 'dependencies:' is no requirement"),
        ("numpy=1.19", "'numpy=1.19' is no requirement.* Did you mean 'numpy==1.19'"),
        ("https://[::1/x.whl", r":1: 'https://\[::1/.*' cannot be used: Invalid IPv6 URL"),
        ("pip install numpy", "'pip install numpy' is no requirement"),
        ("x @ https://example.org/${TOKEN}/x-1.0-py3-none-any.whl", ":1: 'x @ https.*' has a variable in its address"),
        ("https://example.org/${TOKEN}/x-1.0-py3-none-any.whl", ":1: 'x @ https.*' has a variable in its address"),
        ("six ; extras == 'x'", ":1: .* has a condition that is none"),
    ],
)
def test_unusable_requirement_files_name_the_line(tmp_path: Path, content: str, told: str) -> None:
    with pytest.raises(BadRequirement, match=told) as refused:
        read(tmp_path, content)
    assert "secret" not in str(refused.value)


def test_files_without_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(b"six\n\x89PNG\0")
    with pytest.raises(BadRequirement, match="image cannot be read: line 2 is not text"):
        files.read([tmp_path / "image"])
    (tmp_path / "large").write_bytes(b"#" * 5_000_001)
    with pytest.raises(BadRequirement, match="large cannot be read: it is larger than 5 MB"):
        files.read([tmp_path / "large"])
