"""Files of a release: the recipe for conda has pyproject's requirements, and each claim names a test that exists."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_ROOT = Path(__file__).parents[2]
_CLAIMS = (_ROOT / "docs" / "claims.md").read_text(encoding="utf-8")


def _required() -> dict[str, str]:
    """The newest Python's requirements, by name."""
    content = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found: dict[str, set[str]] = {}
    for line in content["project"]["dependencies"]:
        requirement = Requirement(line)
        found.setdefault(requirement.name, set()).add(str(requirement.specifier))
    return {name: " ".join(sorted(specifiers)) for name, specifiers in found.items()}


def test_recipe_has_the_requirements_of_the_wheel() -> None:
    recipe = yaml.safe_load((_ROOT / "recipe" / "recipe.yaml").read_text(encoding="utf-8"))
    run = dict(line.split(" ", 1) for line in recipe["requirements"]["run"])
    del run["python"]
    required = _required()
    assert run.keys() == required.keys()
    for name, specifier in run.items():
        allowed = [set(one.split(",")) for one in required[name].split()]
        assert set(specifier.split(",")) in allowed, name


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`(tests/[\w/]+\.py(?:::\w+)?)`", _CLAIMS))))
def test_claims_name_tests_that_exist(path: str) -> None:
    file, _, name = path.partition("::")
    text = (_ROOT / file).read_text(encoding="utf-8")
    assert f"def {name or 'test_'}" in text


def test_claims_name_benchmarks_that_exist() -> None:
    subjects = re.findall(r"make bench SUBJECTS=(\w+)", _CLAIMS)
    assert len(subjects) > 3
    assert not [name for name in subjects if not (_ROOT / "tests" / "benchmarks" / f"{name}.py").exists()]
