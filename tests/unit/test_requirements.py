"""More packages in a kernel: resolved together with what was verified, kept, taken out again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.commands import tfkernels
from tfprovisioner.catalogue import releases
from tfprovisioner.environments import conflicts, installed, provided, requirements, resolve, store
from tfprovisioner.environments.plan import Plan
from tfprovisioner.environments.recipe import recipe_for
from tfprovisioner.environments.request import InstallRequest
from tfprovisioner.errors import BadRequirement
from tfprovisioner.pythons.choose import Interpreter


def test_a_conflict_is_explained_and_changes_nothing(place: Path) -> None:
    failed = tfkernels("install", "tf1", "--user", "--with", "tensorflow-probability>=0.12,<0.15", "--with", "tqdm")
    assert failed.returncode == 1
    said = " ".join(failed.stderr.split())
    assert (
        "'tensorflow-probability>=0.12,<0.15' cannot be had together with TensorFlow 1.15.5: it needs gast>=0.3.2, and "
        "TensorFlow was verified with gast==0.2.2, which wins."
    ) in said
    assert list(store.root().iterdir()) == []
    assert not (place / "jupyter" / "kernels").exists()


def test_a_pinned_package_is_not_taken_in_another_version() -> None:
    pins = {"numpy": "1.18.5", "h5py": "2.10.0"}
    conflicts.check(["numpy>=1.16", "pandas", "h5py>=3 ; python_version < '3'"], pins, "1.15.5", "3.7.16")
    with pytest.raises(BadRequirement, match=r"'H5Py>=3'.*verified together with H5Py==2\.10\.0"):
        conflicts.check(["H5Py>=3"], pins, "1.15.5", "3.7.16")


def test_markers_are_those_of_the_kernels_python() -> None:
    pins = {"numpy": "1.18.5"}
    lines = ["numpy>=1.20 ; python_version >= '3.8'", "numpy<1.19 ; python_full_version < '3.7.17'"]
    conflicts.check(lines, pins, "1.15.5", "3.7.16")
    with pytest.raises(BadRequirement, match=r"numpy>=1\.20 ; .*numpy==1\.18\.5"):
        conflicts.check(lines, pins, "2.4.4", "3.8.2")
    conflicts.check(["numpy<1.19 ; sys_platform != 'linux'"], {"numpy": "1.21"}, "2.4.4", "3.8")


def locked(tmp_path: Path, release: str, python: str, *wanted: str, gpu: bool = False) -> str:
    """The lock for a kernel with extras; nothing of it is installed."""
    found = releases.find(release)
    order = InstallRequest(release, extras=wanted, gpu=gpu)
    plan = Plan(found, recipe_for(order, found, python), Interpreter(python, None), order)
    return resolve.lock(plan, Path(python), tmp_path, print)


def test_a_requirement_for_another_python_replaces_nothing(tmp_path: Path) -> None:
    text = locked(tmp_path, "1.15.5", "3.7", "matplotlib<3.5 ; python_version >= '3.8'")
    assert resolve.pinned(text, "3.7") == resolve.pinned(releases.find("1.15.5").lock or "", "3.7")


@pytest.mark.parametrize(
    ("release", "python", "extra"),
    [("2.21.0", "3.13", "tf-keras"), ("2.15.1", "3.11", "tensorflow-text"), ("2.11.1", "3.10", "tensorflow>=2.11,<3")],
)
def test_an_extra_that_asks_for_tensorflow_has_the_one_that_is_there(
    tmp_path: Path, release: str, python: str, extra: str
) -> None:
    text = locked(tmp_path, release, python, extra, "six")
    before, after = resolve.pinned(releases.find(release).lock or "", python), resolve.pinned(text, python)
    assert [name for name in after if name in installed.TENSORFLOWS] == ["tensorflow-cpu"]
    assert "file:" not in text
    assert {name: version for name, version in after.items() if name in before} == before, "and all else stays"
    line = ".".join(release.split(".")[:2])
    assert after.get(extra, f"{line}.0").startswith(f"{line}."), "in the version that goes with it"
    assert list(tmp_path.iterdir()) == []


def test_an_extra_for_another_tensorflow_is_refused_with_both_versions(tmp_path: Path) -> None:
    with pytest.raises(BadRequirement) as refused:
        locked(tmp_path, "2.15.1", "3.11", "tf-keras>=2.17")
    words = str(refused.value).partition("uv said:")[0]
    assert words.startswith("'tf-keras>=2.17' cannot be had together with TensorFlow 2.15.1: it needs tensorflow>=2")
    assert "tensorflow==2.15.1, which wins" in words
    assert "package index has no such release" not in str(refused.value)


@pytest.mark.parametrize("line", ["tensorflow==2.11.0", "tensorflow-gpu==2.11.0", "tensorflow-cpu==2.11.0"])
def test_another_tensorflow_is_another_kernel(tmp_path: Path, line: str) -> None:
    for limit in ("", requirements.LIMIT):
        with pytest.raises(BadRequirement, match=r"one of TensorFlow 2\.11\.1.*: tfkernels install 2\.11\.0"):
            locked(tmp_path, "2.11.1", "3.10", f"{limit}{line}")
    locked(tmp_path, "2.11.1", "3.10", f"{line} ; python_version < '3'")


@pytest.mark.parametrize("line", ["tf-nightly", "tensorflow @ https://127.0.0.1/tensorflow-2.11.1-py3-none-any.whl"])
def test_what_may_be_any_tensorflow_is_none_of_the_release(tmp_path: Path, line: str) -> None:
    with pytest.raises(BadRequirement, match=r"one of TensorFlow 2\.11\.1.*tfkernels releases"):
        locked(tmp_path, "2.11.1", "3.10", line)


def test_the_word_for_a_tensorflow_that_is_there_already() -> None:
    lines = ["tensorflow==2.11.1", "tensorflow-gpu", "tensorflow-cpu", "tensorflow ; python_version < '3'", "numpy"]
    assert list(provided.told(lines, {"tensorflow-cpu": "2.11.1", "numpy": "1.2"}, "3.10")) == [
        "'tensorflow==2.11.1' adds nothing: TensorFlow is there already, as tensorflow-cpu 2.11.1",
        "'tensorflow-gpu' adds nothing: TensorFlow is there already, as tensorflow-cpu 2.11.1; for GPUs say --gpu",
    ]


def test_what_is_there_for_notebooks_only_may_be_had_in_other_versions(tmp_path: Path) -> None:
    release = releases.find("1.15.5")
    order = InstallRequest("1.15.5", extras=("matplotlib<3.5", "ipywidgets", "-c tqdm<4.60"))
    plan = Plan(release, recipe_for(order, release, "3.7"), Interpreter("3.7.16", None), order)
    before = resolve.pinned(release.lock or "", "3.7.16")
    found = resolve.pinned(resolve.lock(plan, Path("3.7"), tmp_path, print), "3.7.16")
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
    lines = requirements.read(file)
    name = "name @ https://example.org/name-1.0-py3-none-any.whl"
    assert lines == ("pandas", "matplotlib<3.5", "tqdm", "-c numpy<1.19", name)
    assert requirements.divided(lines) == (["pandas", "matplotlib<3.5", "tqdm", name], ["numpy<1.19"])
    for line in ("--index-url https://me:secret@example.org/simple", "-e ."):
        file.write_text(line)
        with pytest.raises(BadRequirement, match="not taken from requirement files") as refused:
            requirements.read(file)
        assert "secret" not in str(refused.value)
    file.write_text("-r requirements.txt")
    with pytest.raises(BadRequirement, match="includes itself"):
        requirements.read(file)
    with pytest.raises(BadRequirement, match="cannot be read"):
        requirements.read(tmp_path / "none.txt")


def test_a_newer_wish_for_a_package_replaces_the_older() -> None:
    assert requirements.merged(["tqdm<4.60", "pandas"], ["TQDM>=4.66"], ["pandas"]) == ("TQDM>=4.66",)
    kept = ("numpy<1.20 ; python_version < '3.8'", "numpy>=1.20 ; python_version >= '3.8'", "six")
    assert requirements.merged((), kept) == kept, "lines that are given together all hold"
    assert requirements.merged(kept, ["pandas>=1", "pandas<2"]) == (*kept, "pandas>=1", "pandas<2")
    assert requirements.merged(kept, ["numpy"]) == ("six", "numpy")
    assert requirements.merged(kept, (), ["numpy"]) == ("six",)
    with pytest.raises(BadRequirement, match=r"--without scipy: the kernel was not made with it.*tqdm, pandas"):
        requirements.merged(["tqdm<4.60", "pandas"], [], ["scipy"])


@pytest.mark.parametrize("line", ["./folder", "git+https://example.org/x", "two words", ""])
def test_what_is_no_requirement_is_refused(line: str) -> None:
    with pytest.raises(BadRequirement, match="!pip install"):
        requirements.checked(line)
