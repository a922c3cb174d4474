"""Days of packages: which are understood, which release they mean, and that a kernel keeps its own. No process."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from tfprovisioner.catalogue import releases
from tfprovisioner.errors import UnknownRelease, Unusable
from tfprovisioner.requirements.request import InstallRequest, Recipe
from tfprovisioner.resolution import as_of
from tfprovisioner.resolution.locked_files import LockedFile


@pytest.mark.parametrize("text", ["30.11.2018", "2018-11-31", "20181130", "2018-11", "2018-11-30T12:00:00Z", ""])
def test_other_forms_of_days_are_refused(text: str) -> None:
    with pytest.raises(Unusable, match=r"is not a day\. Write one like --as-of 2018-11-30"):
        as_of.day(text)


def test_days_end_today() -> None:
    today = datetime.now(timezone.utc).date()
    assert as_of.day(today.isoformat()) == today.isoformat()
    with pytest.raises(Unusable, match="is in the future"):
        as_of.day((today + timedelta(days=2)).isoformat())


@pytest.mark.parametrize(
    ("asked", "day", "version"),
    [
        ("1.12", "2018-11-30", "1.12.0"), ("1.12", "2019-05-01", "1.12.2"), ("tf1", "2018-11-30", "1.12.0"),
        ("tf1", "2019-06-20", "1.14.0"), ("tf2", "2019-09-30", "2.0.0"), ("1.15.2", "2020-02-01", "1.15.2"),
        ("1.5", "2018-03-19", "1.5.0"),
    ],
)  # fmt: skip
def test_a_line_means_its_newest_release_of_the_day(asked: str, day: str, version: str) -> None:
    assert InstallRequest(asked, as_of=day).catalogue_entry.version == version


@pytest.mark.parametrize(
    ("asked", "day", "says"),
    [
        ("1.12", "2018-10-01", "no TensorFlow 1.12 on 2018-10-01: 1.12.0 was released on 2018-11-06. Choose a later"),
        ("1.12", "2018-10-01", "day, or an earlier release: tfkernels install 1.11 --as-of 2018-10-01"),
        ("1.15.2", "2019-12-01", "no TensorFlow 1.15.2 on 2019-12-01: 1.15.2 was released on 2020-01-26"),
        ("tf2", "2019-09-29", "no TensorFlow 2 on 2019-09-29: 2.0.0 was released on 2019-09-30"),
        ("tf1", "2016-01-01", "no TensorFlow 1 on 2016-01-01: 1.0.0 was released on 2017-02-15. Choose a later day."),
    ],
)  # fmt: skip
def test_days_before_a_release_name_its_day(asked: str, day: str, says: str) -> None:
    with pytest.raises(UnknownRelease) as refused:
        releases.find(asked, day)
    assert says in str(refused.value)


def test_the_advised_earlier_release_exists() -> None:
    assert releases.find("1.11", "2018-10-01").version == "1.11.0"


def test_a_kernel_keeps_its_day_until_usual() -> None:
    first = InstallRequest("1.12", as_of="2018-11-30", extras=("keras",))
    assert first.command == "tfkernels install 1.12 --as-of 2018-11-30 --with keras"
    kept = InstallRequest.from_json(json.loads(json.dumps(first.to_json())))
    assert InstallRequest("1.12").completed(kept).as_of == "2018-11-30"
    assert InstallRequest("1.12", as_of="2019-05-01").completed(kept).as_of == "2019-05-01"
    assert InstallRequest("1.12", as_of="usual").completed(kept).as_of is None


def test_a_day_makes_another_environment() -> None:
    request = InstallRequest("1.12.0")
    one, other = (Recipe.of(replace(request, as_of=day), "3.6") for day in ("2018-11-30", "2018-12-01"))
    plain = Recipe.of(request, "3.6")
    assert len({one.name, other.name, plain.name}) == 3
    assert plain.name == "tensorflow-1.12.0-py3.6-" + plain.name[-12:]


def test_the_exceptions_are_one_line() -> None:
    day = "2018-11-30"

    def file(name: str, version: str, uploaded: str | None) -> LockedFile:
        return LockedFile(name, version, "", False, 1, uploaded)

    listed = [
        file("tensorflow", "1.12.0", "2021-01-01"), file("keras", "2.2.4", "2018-10-03"), file("mine", "1", None),
        file("setuptools", "59.6.0", "2021-12-12"), file("pip", "21.3.1", "2021-10-22"),
    ]  # fmt: skip
    assert as_of.summary(day, listed, {"keras": "2.3.0", "mine": "2"}, "2.6.0") == (
        "packages as of 2018-11-30, except for pip 21.3.1, setuptools 59.6.0 (older ones build and install nothing "
        "from today's index); mine 1 (the day is unknown); keras 2.2.4 in place of 2.3.0 (2.6.0 lets any Keras 2 in, "
        "and cannot import the later ones); mine 1 in place of 2"
    )
    assert as_of.summary(day, listed[:2], {}, "1.12.0") == "all packages are as of 2018-11-30"
