"""More packages in a kernel: resolved together with what was verified, kept, taken out again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfprovisioner.environments import requirements, resolve
from tfprovisioner.errors import BadRequirement


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


def test_newer_requirements_replace_older_ones() -> None:
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
