"""Files of requirements choose the release and the Python; the command has the last word."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tfprovisioner.catalogue.releases import Release
from tfprovisioner.errors import BadRequirement, NoInterpreter, UnknownRelease
from tfprovisioner.requirements import chosen_release
from tfprovisioner.requirements.chosen_release import Choice
from tfprovisioner.requirements.file_content import Content, Line

FILE = Path("re quirements.txt")


def content(*lines: str, pythons: tuple[str, ...] = ()) -> Content:
    numbered = [Line(line, f"{FILE}:{number}") for number, line in enumerate(lines, 1)]
    return Content(numbered, [Line(python, f"{FILE}:9") for python in pythons])


def chosen(*lines: str, pythons: tuple[str, ...] = (), python: str | None = None) -> Choice:
    (choice,) = chosen_release.choices(content(*lines, pythons=pythons), [FILE], python=python)
    return choice


@pytest.mark.parametrize(
    ("lines", "release", "reason"),
    [
        (["tensorflow==1.13.1"], "1.13.1", "TensorFlow 1.13.1: 'tensorflow==1.13.1' ("),
        (["tensorflow-gpu>=1.8,<1.15", "six"], "1.14", "TensorFlow 1.14.0: the newest release for 'tensorflow-gpu>="),
        (["tensorflow<1.13.2,>=1.10"], "1.13.1", "1.13.1: the newest release for"),
        (["TensorFlow_CPU==1.15"], "1.15", "TensorFlow 1.15.5: the newest release for 'TensorFlow_CPU==1.15'"),
        (["tensorflow~=2.4.0"], "2.4", "2.4.4"),
        (["tensorflow==2.*"], "2.21", "2.21.0: the newest release for"),
        (["-c tensorflow==1.15.2", "six"], "1.15.2", "'-c tensorflow==1.15.2'"),
        (["tensorflow>=1.4", "tensorflow<1.9,!=1.8.*"], "1.7", "'tensorflow>=1.4' (re quirements.txt:1), 'tensorflow<"),
        (
            ["tensorflow>=1.11"],
            "1.15",
            "the newest 1.x, because 'tensorflow>=1.11' (re quirements.txt:1) is of the time",
        ),
        (["tensorflow>=1.15,<2.5"], "2.4", "2.4.4: the newest release for"),
        (["tensorflow>=1.14", "keras>=2.4"], "2.21", "the newest 2.x, because 'keras>=2.4'"),
        (["tensorflow", "Keras==2.2.4"], "1.15", "the newest 1.x, because 'Keras==2.2.4'"),
        (
            ["tensorflow"],
            "2.21",
            "2.21.0: the newest release, because 'tensorflow' (re quirements.txt:1) names no version",
        ),
        (["keras==2.1.0", "numpy"], "1.15", "the newest 1.x, because 'keras==2.1.0' (re quirements.txt:1)"),
        (["tensorflow-addons"], "2.21", "the newest 2.x, because 'tensorflow-addons'"),
        (["keras==2.9.0"], "2.9", "2.9.3: the newest release for 'keras==2.9.0'"),
        (["tensorboard==1.8.0"], "1.8", "1.8.0: the newest release for 'tensorboard==1.8.0'"),
        (["tensorflow==2.22.0"], "2.22.0", "TensorFlow 2.22.0: 'tensorflow==2.22.0'"),
        (["tensorflow==1.15.0; python_version<'3.8'", "tensorflow==2.4.0; python_version>='3.8'"], "2.4.0", "2.4.0"),
    ],
)
def test_requirement_files_choose_the_release(lines: list[str], release: str, reason: str) -> None:
    choice = chosen(*lines)
    assert choice.release == release
    assert reason in choice.reason


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["numpy", "keras"], r"does not name TensorFlow.*: tfkernels install tf1 --requirements 're quirements\.txt'$"),
        (
            ["tensorflow==2.1.0rc1"],
            r"2\.1\.0rc1 is not among .* nearest is 2\.1\.0\. .*: tfkernels install 2\.1\.0 --req",
        ),
        (["tensorflow==1.13.5"], r"nearest is 1\.13\.2"),
        (
            ["tensorflow==1.13.1", "tensorflow>=2"],
            r"No release of TensorFlow fits all of: 'tensorflow==1\.13\.1' \(.*:1\)",
        ),
        (["tf-nightly==2.5.0.dev20210101"], "nightly build.*: tfkernels install 2.5 --requirements"),
        (["tf-nightly-gpu-2.0-preview"], "nightly build.*: tfkernels install 2.0 --requirements"),
        (["tensorflow===one", "keras===two"], "No release of TensorFlow fits 'tensorflow===one'"),
        (["tensorflow>3"], "No release of TensorFlow fits 'tensorflow>3'"),
    ],
)
def test_undecided_releases_name_the_command(lines: list[str], told: str) -> None:
    with pytest.raises(BadRequirement, match=told):
        chosen(*lines)


def test_the_python_follows_the_files() -> None:
    assert chosen("tensorflow==1.15", pythons=("==3.6.*",)).python == "3.6"
    assert chosen("tensorflow==2.4", pythons=(">=3.6,<3.8", "!=3.6.1")).python == "3.7"
    assert chosen("tensorflow==2.4", pythons=("==3.6.9 || >=3.9",)).python == "3.6"
    assert chosen("tensorflow==2.4", pythons=(">=3.5",)).python is None, "the usual one"
    assert chosen("tensorflow>=2", pythons=("==3.7.*",)) == Choice(
        "2.11.0", "3.7", f"TensorFlow 2.11.0: the newest release for 'tensorflow>=2' ({FILE}:1). "
        f"Python 3.7: 'python==3.7.*' ({FILE}:9)"
    )  # fmt: skip
    assert chosen("tensorflow==1.15.0; python_version<'3.7'", "tensorflow>=2; python_version>='3.7'").release == "2.21"
    with pytest.raises(
        NoInterpreter, match=r"TensorFlow 1\.12\.3 needs Python 3\.6.*'python==2\.7\.\*'.*--python 3\.6"
    ):
        chosen("tensorflow==1.12", pythons=("==2.7.*",))


def test_the_users_python_wins_over_the_files() -> None:
    choice = chosen("tensorflow>=2", pythons=("==3.12.*",), python="3.8")
    assert (choice.release, choice.python) == ("2.13", None)
    assert chosen("tensorflow==1.15", pythons=("==2.7.*",), python="/usr/bin/python3.7").python is None


def test_the_release_of_the_command_wins_over_the_files() -> None:
    asked = content("tensorflow==2.1.0rc1", "six", pythons=("<3.7",))
    one, other = chosen_release.choices(asked, [FILE], ["2.1.0", "tf1"])
    assert (one.release, one.python) == ("2.1.0", "3.6")
    assert one.reason.startswith("TensorFlow 2.1.0, as the command says, and not 'tensorflow==2.1.0rc1' (")
    assert (other.release, other.python) == ("tf1", "3.6")
    assert chosen_release.packages(asked) == ("six",)
    (silent,) = chosen_release.choices(content("tensorflow==1.15"), [FILE], ["1.15"])
    assert not silent.reason


def test_files_choose_a_release_of_the_day() -> None:
    asked = content("tensorflow>=1.8,<1.15")
    for day, release in (("2018-11-30", "1.12"), ("2019-12-01", "1.14"), ("2018-05-01", "1.8")):
        (choice,) = chosen_release.choices(asked, [FILE], day=day)
        assert choice.release == release
    with pytest.raises(UnknownRelease, match=r"on 2018-01-01: 1\.8\.0 was released on 2018-04-28"):
        chosen_release.choices(asked, [FILE], day="2018-01-01")


def test_the_other_lines_choose_among_several_releases() -> None:
    asked = content("tensorflow>=1.8,<1.15", "numpy==1.13.3", "six")
    tried: list[str] = []

    def newest(fitting: Sequence[tuple[Release, list[str]]], lines: Sequence[str]) -> tuple[Release, list[str]]:
        assert list(lines) == ["numpy==1.13.3", "six"]
        tried.extend(release.version for release, _ in fitting)
        return fitting[1]

    (choice,) = chosen_release.choices(asked, [FILE], newest=newest)
    assert (tried[0], tried[-1], choice.release) == ("1.14.0", "1.8.0", "1.13")
    assert choice.reason.startswith("TensorFlow 1.13.2, which the other lines go with, unlike 1.14.0: the newest")
    for lines in (["tensorflow==1.8.0", "numpy==1.13.3"], ["tensorflow==1.15", "numpy==1"], ["tensorflow<2", "six"]):
        chosen_release.choices(content(*lines), [FILE], newest=lambda *_: pytest.fail("there is no choice, or no pin"))


def test_gpu_distributions_are_noticed() -> None:
    for line in ("tensorflow-gpu==1.15", "tensorflow[and-cuda]"):
        assert chosen_release.wanting_gpu(content("six", line)) == Line(line, f"{FILE}:2")
    assert chosen_release.wanting_gpu(content("tensorflow", "gpustat")) is None
