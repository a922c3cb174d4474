"""``pyproject.toml`` and conda's ``environment.yml``: their dependencies in pip's words, and what has no such words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tfprovisioner.errors import BadRequirement
from tfprovisioner.requirements import files
from tfprovisioner.requirements.file_content import Content

_STANDARD = """
[project]
name = "My.Paper"
requires-python = ">=3.6,<3.8"
dependencies = ["tensorflow>=1.13,<2", "six", "b @ git+https://github.com/a/b", "private"]
[project.optional-dependencies]
plots = ["matplotlib"]
all = ["my-paper[plots]", "tqdm", "tqdm>1"]
[dependency-groups]
dev = ["pytest", {include-group = "Lint"}]
lint = ["ruff"]
[tool.uv.sources]
Private = {index = "own"}
"""

_POETRY = """
[tool.poetry.dependencies]
python = "^3.6 || ~3.9"
tensorflow = "~1.13.1"
numpy = { version = "^1.16", optional = true }
six = "*"
b = { git = "https://github.com/a/b.git", rev = "abc" }
mine = { path = "mine", develop = true }
own = { version = "1", source = "private" }
both = "^1.0 || ^2.0"
pandas = [{ version = "<1", python = "<3.7" }, { version = "1.*", extras = ["x"], python = ">=3.7" }]
[tool.poetry.dev-dependencies]
pytest = "5.0"
[tool.poetry.extras]
fast = ["numpy"]
[tool.poetry.group.docs.dependencies]
sphinx = ">=1 <2"
"""

_ENVIRONMENT = """
name: paper
channels: [conda-forge]
dependencies:
  - python=3.6
  - tensorflow-gpu=1.15
  - cudatoolkit=10.0
  - numpy=1.18.5=py36h95a1406_0
  - conda-forge::opencv=4.5.1
  - pytorch >=1.0,<2
  - matplotlib-base
  - scipy 1.4.*
  - scikit-learn==0.22
  - jinja2!=2.11.*
  - pillow=6|7
  - pandas[version='>=1.0', build=py36]
  - pip=20
  - librosa
  - libprotobuf
  - redis-py
  - pip:
    - -r more.txt
    - keras == 2.3.1  # the last
    - -e .
"""

_EXPORT = """# $ conda create --name <env> --file <this file>
_libgcc_mutex=0.1=main
python=3.7.6=h0371630_2
numpy=1.18.1=py37h4f9e942_0
tensorflow-gpu=1.15.0=h0d30ee6_0
keras=2.3.1=0
unknown=1.2=h7b6447c_3
foo=1.0=pypi_0
"""


def read(folder: Path, text: str, name: str, groups: str = "") -> Content:
    (folder / name).write_text(text, encoding="utf-8")
    return files.read([Path(f"{folder / name}{groups}")])


def notes(content: Content, folder: Path) -> str:
    return "\n".join(content.notes).replace(f"{folder}/", "")


def test_pyproject_files_have_the_standards_dependencies(tmp_path: Path) -> None:
    content = read(tmp_path, _STANDARD, "pyproject.toml")
    assert content.lines == ("tensorflow>=1.13,<2", "six")
    assert content.requirements[0].place == f"{tmp_path}/pyproject.toml:5"
    assert [line.text for line in content.pythons] == [">=3.6,<3.8"]
    told = notes(content, tmp_path)
    assert "pyproject.toml:5: left out 'b @ git+https://github.com/a/b'" in told
    assert "pyproject.toml:5: left out 'private': the file takes it from another place" in told
    assert "left out the groups all, dev, lint, plots: choose them with '" in told
    assert "pyproject.toml[all,dev,lint,plots]'" in told


def test_pyproject_groups_are_chosen_in_brackets(tmp_path: Path) -> None:
    content = read(tmp_path, _STANDARD, "pyproject.toml", "[all, Dev]")
    assert content.lines[2:] == ("matplotlib", "tqdm", "tqdm>1", "pytest", "ruff")
    assert "the groups" not in notes(content, tmp_path)
    with pytest.raises(BadRequirement, match=r"no group or extra 'none'.*: all, dev, lint, plots"):
        read(tmp_path, _STANDARD, "pyproject.toml", "[none]")


def test_pyproject_files_have_poetrys_dependencies(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    content = read(tmp_path, _POETRY, "pyproject.toml", "[fast,dev,docs]")
    assert content.lines == (
        "tensorflow>=1.13.1,<1.14.0", "six", "both>=1.0,<3.0", 'pandas<1 ; python_version < "3.7"',
        'pandas[x]==1.* ; python_version >= "3.7"', "numpy>=1.16,<2.0", "pytest==5.0", "sphinx>=1,<2",
    )  # fmt: skip
    assert [line.text for line in content.pythons] == [">=3.6,<4.0"]
    told = notes(content, tmp_path)
    assert "left out 'b @ git+https://github.com/a/b.git@abc'" in told
    assert (
        "left out './mine': tfkernels installs packages of an index. In a cell of the kernel: %pip install -e" in told
    )
    assert "left out 'own': the file takes it from another place" in told


def test_pyproject_files_may_name_a_requirement_file(tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("tensorflow==1.15\n")
    text = '[project]\nname = "x"\ndynamic = ["dependencies"]\n'
    dynamic = '[tool.setuptools.dynamic]\ndependencies = {file = ["more.txt"]}\n'
    assert read(tmp_path, text + dynamic, "pyproject.toml").lines == ("tensorflow==1.15",)
    with pytest.raises(BadRequirement, match="names no dependencies"):
        read(tmp_path, text, "pyproject.toml")


def test_environment_files_are_read_in_pips_words(tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("tqdm\n")
    content = read(tmp_path, _ENVIRONMENT, "environment.yml")
    assert content.lines == (
        "tensorflow-gpu==1.15.*", "numpy==1.18.5", "opencv-python==4.5.1.*", "torch>=1.0,<2", "matplotlib",
        "scipy==1.4.*", "scikit-learn==0.22", "jinja2!=2.11.*", "pillow", "pandas>=1.0",
        "librosa", "redis", "tqdm", "keras == 2.3.1",
    )  # fmt: skip
    assert [line.text for line in content.pythons] == ["==3.6.*"]
    assert content.requirements[0].place == f"{tmp_path}/environment.yml:6"
    told = notes(content, tmp_path)
    assert "environment.yml:3: left out `channels`: it is conda's" in told
    assert "environment.yml: left out cudatoolkit, libprotobuf: no wheel has the same content" in told
    assert "environment.yml:15: 'pillow' is taken in any version: pip cannot express 'pillow=6|7'" in told
    assert "environment.yml:24: left out '.'" in told


_EXPLICIT = "@EXPLICIT\n" + "".join(
    f"https://repo.anaconda.com/pkgs/main/linux-64/{line.replace('=', '-')}.conda#d41d8cd98f00b204e9800998ecf8427e\n"
    for line in _EXPORT.splitlines()[1:-1]
)


@pytest.mark.parametrize("text", [_EXPORT, f"{_EXPLICIT}foo=1.0=pypi_0\n"], ids=["export", "explicit"])
def test_lists_of_conda_are_read(tmp_path: Path, text: str) -> None:
    content = read(tmp_path, text, "requirements.txt")
    assert content.lines == ("numpy==1.18.1", "tensorflow-gpu==1.15.0", "keras==2.3.1", "foo==1.0")
    assert [line.text for line in content.pythons] == ["==3.7.6"]
    assert "left out _libgcc_mutex, unknown: no wheel has the same content" in notes(content, tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("pyproject.toml", "[project]\nname = 'x'\nx = y\n", "pyproject.toml cannot be read as TOML: .*line 3"),
        ("pyproject.toml", "[project]\ndependencies = 3\n", "a table has an unknown form"),
        ("pyproject.toml", "[project]\ndependencies = ['a b']\n", "pyproject.toml:2: 'a b' is no requirement"),
        ("pyproject.toml", "[tool.poetry.dependencies]\nx = 'new'\n", "pyproject.toml:2: 'x new' is no requirement"),
        ("environment.yml", "a: b\nc: [", "environment.yml:2 cannot be read as YAML"),
        ("environment.yml", "- a\n", "has no list `dependencies`"),
        ("environment.yml", "name: x\n", "has no list `dependencies`"),
        ("environment.yml", "dependencies:\n- a\n- =1\n", "environment.yml:3: '=1' is not a conda package"),
        ("environment.yml", "dependencies:\n- [a]\n", "environment.yml:2 is neither a package nor"),
        ("environment.yml", "dependencies:\n- " + "[" * 9999, "nested too deeply"),
        ("environment.yml", "dependencies:\n- pip:\n  - x y\n", "environment.yml:3: 'x y' is no requirement"),
        ("poetry.lock", "", "is no requirement file, pyproject.toml or environment.yml"),
        ("setup.py", "", "is no requirement file, pyproject.toml or environment.yml"),
    ],
)
def test_unusable_project_files_name_the_line(tmp_path: Path, name: str, text: str, told: str) -> None:
    with pytest.raises(BadRequirement, match=told):
        read(tmp_path, text, name)


def test_nothing_of_a_yaml_file_is_made(tmp_path: Path) -> None:
    text = f"dependencies:\n- !!python/object/apply:os.mkdir ['{tmp_path}/made']\n"
    with pytest.raises(BadRequirement, match=":2 is neither a package nor"):
        read(tmp_path, text, "environment.yml")
    assert not (tmp_path / "made").exists()


def test_condas_backend_takes_no_environment_file(tmp_path: Path) -> None:
    (tmp_path / "environment.yml").write_text(_ENVIRONMENT)
    with pytest.raises(BadRequirement, match=r"with --backend conda: .*tfkernels add FOLDER$") as refused:
        files.read([tmp_path / "environment.yml"], conda=True)
    assert re.search(r"Omit --backend\.", str(refused.value))
