"""More packages in a kernel: resolved together with what was verified, kept, taken out again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.provisioner.commands import tfkernels
from tfprovisioner import catalogue, conflicts, environments, extras, resolution
from tfprovisioner.errors import BadRequirement
from tfprovisioner.interpreters import Interpreter
from tfprovisioner.order import Order
from tfprovisioner.plan import Plan
from tfprovisioner.recipe import recipe_for


def test_a_conflict_is_explained_and_changes_nothing(place: Path) -> None:
    failed = tfkernels("install", "tf1", "--user", "--with", "tensorflow-probability>=0.12,<0.15", "--with", "tqdm")
    assert failed.returncode == 1
    said = " ".join(failed.stderr.split())
    assert (
        "'tensorflow-probability>=0.12,<0.15' cannot be had together with TensorFlow 1.15.5: it needs gast>=0.3.2, and "
        "TensorFlow was verified with gast==0.2.2, which wins."
    ) in said
    assert list(environments.root().iterdir()) == []
    assert not (place / "jupyter" / "kernels").exists()


def test_a_pinned_package_is_not_taken_in_another_version() -> None:
    pins = {"numpy": "1.18.5", "h5py": "2.10.0"}
    conflicts.check(["numpy>=1.16", "pandas", "h5py>=3 ; python_version < '3'"], pins, "1.15.5")
    with pytest.raises(BadRequirement, match=r"'H5Py>=3'.*verified together with H5Py==2\.10\.0"):
        conflicts.check(["H5Py>=3"], pins, "1.15.5")


def test_what_is_there_for_notebooks_only_may_be_had_in_other_versions(tmp_path: Path) -> None:
    release = catalogue.find("1.15.5")
    order = Order("1.15.5", extras=("matplotlib<3.5", "ipywidgets", "-c tqdm<4.60"))
    plan = Plan(release, recipe_for(order, release, "3.7"), Interpreter("3.7.16", None), order)
    before = resolution.pinned(release.lock or "", "3.7.16")
    found = resolution.pinned(resolution.lock(plan, Path("3.7"), tmp_path, print), "3.7.16")
    assert found["matplotlib"].startswith("3.4.")
    assert found["tqdm"].startswith("4.59.")
    assert {name for name in before if found.get(name) != before[name]} == {"matplotlib", "tqdm"}, "other pins stay"


def test_requirement_files(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text(
        "# comment\n\npandas  # another\nmatplotlib<3.5 \\\n    --hash=sha256:0123 \\\n    --hash=sha256:4567\n"
        "-r more/more.txt\nname @ https://example.org/name-1.0-py3-none-any.whl\n"
    )
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "more.txt").write_text("tqdm\n--constraint pins.txt\npandas\n")
    (tmp_path / "more" / "pins.txt").write_text("numpy<1.19\n")
    lines = extras.read(file)
    name = "name @ https://example.org/name-1.0-py3-none-any.whl"
    assert lines == ("pandas", "matplotlib<3.5", "tqdm", "-c numpy<1.19", name)
    assert extras.divided(lines) == (["pandas", "matplotlib<3.5", "tqdm", name], ["numpy<1.19"])
    for line in ("--index-url https://me:secret@example.org/simple", "-e ."):
        file.write_text(line)
        with pytest.raises(BadRequirement, match="not taken from requirement files") as refused:
            extras.read(file)
        assert "secret" not in str(refused.value)
    file.write_text("-r requirements.txt")
    with pytest.raises(BadRequirement, match="includes itself"):
        extras.read(file)
    with pytest.raises(BadRequirement, match="cannot be read"):
        extras.read(tmp_path / "none.txt")


def test_a_newer_wish_for_a_package_replaces_the_older() -> None:
    assert extras.merged(["tqdm<4.60", "pandas"], ["TQDM>=4.66"], ["pandas"]) == ("TQDM>=4.66",)
    with pytest.raises(BadRequirement, match=r"--without scipy: the kernel was not made with it.*tqdm, pandas"):
        extras.merged(["tqdm<4.60", "pandas"], [], ["scipy"])


@pytest.mark.parametrize("line", ["./folder", "git+https://example.org/x", "two words", ""])
def test_what_is_no_requirement_is_refused(line: str) -> None:
    with pytest.raises(BadRequirement, match="!pip install"):
        extras.checked(line)
