"""Recipe and kernel names: no process is started."""

from __future__ import annotations

from dataclasses import asdict, replace

from tfprovisioner import catalogue, cli
from tfprovisioner.backends import BACKENDS
from tfprovisioner.kernelspec import display_name
from tfprovisioner.order import Order
from tfprovisioner.recipe import Recipe, recipe_for


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


def test_every_backend_can_be_asked_for() -> None:
    assert [backend.value for backend in cli.Backend] == list(BACKENDS)


def test_records_of_earlier_versions_are_read() -> None:
    recipe = recipe_for(Order("tf2"), catalogue.find("tf2"), "3.13")
    content = {name: value for name, value in asdict(recipe).items() if name not in ("interpreter", "channels")}
    assert Recipe.from_json(content) == recipe
