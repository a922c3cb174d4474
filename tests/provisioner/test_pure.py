"""Catalogue, recipe and kernel names: no process is started."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tfprovisioner import catalogue
from tfprovisioner.errors import UnknownRelease
from tfprovisioner.kernelspec import display_name
from tfprovisioner.order import Order
from tfprovisioner.recipe import recipe_for


@pytest.mark.parametrize(
    ("request_", "version", "kernel"),
    [
        ("tf1", "1.15.5", "tf1"),
        ("TF2", "2.21.0", "tf2"),
        ("1.15", "1.15.5", "tf1.15"),
        ("tf2.21", "2.21.0", "tf2.21"),
        ("2.21.0", "2.21.0", "tf2.21.0"),
        (" tf1.15.5 ", "1.15.5", "tf1.15.5"),
    ],
)
def test_requests(request_: str, version: str, kernel: str) -> None:
    assert catalogue.find(request_).version == version
    assert catalogue.kernel_name(request_) == kernel


def test_unknown_release_names_the_nearest() -> None:
    with pytest.raises(UnknownRelease, match=r"no TensorFlow release '2\.12'.*Did you mean 2\.21.*tfkernels releases"):
        catalogue.find("2.12")


@pytest.mark.parametrize("release", catalogue.releases(), ids=lambda release: release.version)
def test_locks_are_pinned_and_hashed(release: catalogue.Release) -> None:
    text = release.lock
    assert text is not None
    requirements = re.split(r"\n(?=\S)", re.sub(r"(?m)^\s+#.*\n?", "", text).strip())
    assert len(requirements) > 50
    for requirement in requirements:
        assert re.match(r"[a-z0-9_.-]+==[^ ]+", requirement), requirement
        assert "--hash=sha256:" in requirement, requirement
    assert re.search(rf"(?m)^tensorflow(-cpu)?=={re.escape(release.version)}\b", text)
    assert "http" not in text, "which index is used is the user's choice"


def test_recipes_differ_in_all_that_matters() -> None:
    recipe = recipe_for(Order("tf2"), catalogue.find("tf2"), "3.13")
    names = {
        recipe.name,
        recipe_for(Order("tf2"), catalogue.find("tf2"), "3.12").name,
        recipe_for(Order("tf1"), catalogue.find("tf1"), "3.7").name,
        replace(recipe, lock="other").name,
        replace(recipe, platform="other").name,
        replace(recipe, backend="conda").name,
        recipe_for(Order("tf2", backend="conda"), catalogue.find("tf2"), "3.13").name,
        recipe_for(Order("tf2", backend="conda", channels=("mine",)), catalogue.find("tf2"), "3.13").name,
        recipe_for(Order("tf2", python="3.13.1"), catalogue.find("tf2"), "3.13").name,
        recipe_for(Order("tf2", python="/opt/python3.13"), catalogue.find("tf2"), "3.13").name,
    }
    assert len(names) == 10
    same = Order("2.21", python="3.13", channels=("mine",))
    assert recipe_for(same, catalogue.find("tf2"), "3.13").name == recipe.name, "the same packages on the same Python"
    assert recipe_for(Order("2.21"), catalogue.find("2.21"), "3.13").name == recipe.name


def test_display_names() -> None:
    assert display_name("tf1", "1.15.5") == "TensorFlow 1.15"
    assert display_name("tf2.21", "2.21.0") == "TensorFlow 2.21 (tf2.21)"
