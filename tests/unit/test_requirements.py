"""More packages in a kernel: resolved together with what was verified, kept, taken out again."""

from __future__ import annotations

import re

import pytest

from tfprovisioner.errors import BadRequirement
from tfprovisioner.requirements import lines
from tfprovisioner.resolution import one_tensorflow, overridden_bounds


def test_redundant_tensorflow_requirements_are_noted() -> None:
    lines = ["tensorflow==2.11.1", "tensorflow-gpu", "tensorflow-cpu", "tensorflow ; python_version < '3'", "numpy"]
    assert list(one_tensorflow.redundant(lines, {"tensorflow-cpu": "2.11.1"}, "3.10")) == [
        "'tensorflow==2.11.1' adds nothing: TensorFlow is there already, as tensorflow-cpu 2.11.1",
        "'tensorflow-gpu' adds nothing: TensorFlow is there already, as tensorflow-cpu 2.11.1; for GPUs use --gpu",
    ]


def test_two_numbers_mean_a_line_of_releases() -> None:
    for line, meant in {
        "tensorflow==1.15": "tensorflow==1.15.*",
        "-c tensorflow-gpu>=1.2,==1.15 ; python_version>'3'": '-c tensorflow-gpu==1.15.*,>=1.2; python_version > "3"',
        "tensorflow==1.15.0": "tensorflow==1.15.0",
        "numpy==1.15": "numpy==1.15",
    }.items():
        assert lines.merged([], [one_tensorflow.meaning_the_line(line)]) == (meant,)
    lines_ = ["tensorflow-gpu==1.15.*", "-c tensorflow-gpu==1.14.*", "numpy==1.14"]
    ((line, cause),) = one_tensorflow.others(lines_, {"tensorflow": "1.15.5"}, "3.7").items()
    assert line == "-c tensorflow-gpu==1.14.*"
    assert cause.startswith("this environment already has TensorFlow 1.15.5")
    assert cause.endswith("tfkernels install 1.14")


@pytest.mark.parametrize(
    ("line", "beyond"),
    [
        ("numpy==1.21.6", True),
        ("numpy==1.20.*", True),
        ("numpy>=1.21,<2", True),
        ("numpy==1.16.2", False),
        ("numpy>=1.16", False),
        ("numpy", False),
        ("protobuf==4.21", False),
    ],
)
def test_bounds_that_users_may_override(line: str, beyond: bool) -> None:
    """Those with which TensorFlow is still imported; with protobuf 4 it is not."""
    found = overridden_bounds.overridden(["six", line], "1.15.5", "3.7")
    assert [rule.requirement for rule in found] == (["numpy<1.20"] if beyond else [])


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


def test_lost_packages_are_those_without_a_line() -> None:
    before = ("numpy<2", "tqdm", "-c six<2", "tqdm>=4")
    assert lines.lost(before, ["NumPy", "six"]) == ("tqdm", "-c six")
    assert lines.merged(before, ["NumPy"], lines.lost(before, ["NumPy"])) == ("NumPy",)


@pytest.mark.parametrize("line", ["./folder", "git+https://example.org/x", "two words", ""])
def test_what_is_no_requirement_is_refused(line: str) -> None:
    with pytest.raises(BadRequirement, match="!pip install") as refused:
        lines.checked(line)
    for example in re.findall(r"'([^']*)'", str(refused.value).partition("versions:")[2]):
        lines.checked(example.replace("…", "example.org"))
