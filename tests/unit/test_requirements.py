"""More packages in a kernel: resolved together with what was verified, kept, taken out again."""

from __future__ import annotations

import re

import pytest

from tfprovisioner.environments import resolve
from tfprovisioner.errors import BadRequirement
from tfprovisioner.requirements import lines


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
