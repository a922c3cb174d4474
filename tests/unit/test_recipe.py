"""Recipe and kernel names: no process is started."""

from __future__ import annotations

from dataclasses import asdict, replace

from tfprovisioner.catalogue.releases import order_of
from tfprovisioner.cli import install
from tfprovisioner.environments.backends import BACKENDS
from tfprovisioner.kernelspecs.write import display_name
from tfprovisioner.requirements.request import InstallRequest, Recipe


def test_recipes_differ_in_all_that_matters() -> None:
    recipe = Recipe.of(InstallRequest("tf2"), "3.13")
    names = {
        recipe.name,
        Recipe.of(InstallRequest("tf2"), "3.12").name,
        Recipe.of(InstallRequest("tf1"), "3.7").name,
        replace(recipe, lock="other").name,
        replace(recipe, platform="other").name,
        replace(recipe, backend="conda").name,
        Recipe.of(InstallRequest("tf2", backend="conda"), "3.13").name,
        Recipe.of(InstallRequest("tf2", backend="conda", channels=("mine",)), "3.13").name,
        Recipe.of(InstallRequest("tf2", python="3.13.1"), "3.13").name,
        Recipe.of(InstallRequest("tf2", python="/opt/python3.13"), "3.13").name,
    }
    assert len(names) == 10
    same = InstallRequest("2.21", python="3.13", channels=("mine",))
    assert Recipe.of(same, "3.13").name == recipe.name, "the same packages on the same Python"
    assert Recipe.of(InstallRequest("2.21"), "3.13").name == recipe.name


def test_environments_of_earlier_versions_keep_their_names() -> None:
    recipe = Recipe(tensorflow="1.15.5", python="3.7", backend="uv", lock="0", platform="linux-x86_64")
    assert recipe.name == "tensorflow-1.15.5-py3.7-bb6571bda282"


def test_display_names() -> None:
    assert display_name("tf1", "1.15.5", "3.7.16") == "TensorFlow 1.15 · Python 3.7"
    assert display_name("tf2.21", "2.21.0", "3.13.0") == "TensorFlow 2.21 · Python 3.13"
    assert display_name("tf1.15.0", "1.15.0", "3.7.16") == "TensorFlow 1.15.0 · Python 3.7"
    assert display_name("mine", "2.21.0", "3.13.0") == "TensorFlow 2.21 · Python 3.13 (mine)"
    assert display_name("tf2", "2.21.0", "3.13.0", gpu=True) == "TensorFlow 2.21 · Python 3.13 · GPU"
    taken = {"TensorFlow 1.15 · Python 3.7"}
    assert display_name("tf1.15", "1.15.5", "3.7.16", taken) == "TensorFlow 1.15 · Python 3.7 (tf1.15)"


def test_kernels_are_listed_as_people_count() -> None:
    rows = [("2.4.1", "tf2.4"), ("1.15.5", "tf1"), ("2.21.0", "tf2"), ("1.4.0", "tf1.4"), ("1.15.5", "a")]
    ordered = sorted(rows, key=lambda row: (order_of(row[0]), row[1]))
    assert [name for _, name in ordered] == ["tf1.4", "a", "tf1", "tf2.4", "tf2"]


def test_every_backend_can_be_asked_for() -> None:
    assert [backend.value for backend in install.Backend] == list(BACKENDS)


def test_records_of_earlier_versions_are_read() -> None:
    recipe = Recipe.of(InstallRequest("tf2"), "3.13")
    content = {name: value for name, value in asdict(recipe).items() if name not in ("interpreter", "channels")}
    assert Recipe.from_json(content) == recipe
