"""Recipe and kernel names: no process is started."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tfprovisioner import catalogue, interpreters
from tfprovisioner.errors import NoInterpreter
from tfprovisioner.interpreters import Interpreter
from tfprovisioner.kernelspec import display_name
from tfprovisioner.order import Order
from tfprovisioner.recipe import recipe_for


def test_recipes_differ_in_all_that_matters() -> None:
    recipe = recipe_for(Order("tf2"), catalogue.find("tf2"), "3.13")
    names = {
        recipe.name,
        recipe_for(Order("tf2"), catalogue.find("tf2"), "3.12").name,
        recipe_for(Order("tf1"), catalogue.find("tf1"), "3.7").name,
        replace(recipe, lock="other").name,
        replace(recipe, platform="other").name,
        replace(recipe, backend="conda").name,
    }
    assert len(names) == 6
    assert recipe_for(Order("2.21"), catalogue.find("2.21"), "3.13").name == recipe.name


def test_display_names() -> None:
    assert display_name("tf1", "1.15.5") == "TensorFlow 1.15"
    assert display_name("tf2.21", "2.21.0") == "TensorFlow 2.21 (tf2.21)"


def test_no_interpreter_says_what_was_looked_for_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreters, "installed", lambda minor: None)
    with pytest.raises(NoInterpreter, match=r"needs Python 3\.7.*pyenv install 3\.7.*conda create"):
        interpreters.find(catalogue.find("tf1"))
    assert interpreters.find(catalogue.find("tf2")) == Interpreter("3.13", None), "uv has it for download"


def test_the_preferred_of_the_pythons_that_are_here(monkeypatch: pytest.MonkeyPatch) -> None:
    here = {"3.12": Interpreter("3.12.1", None), "3.10": Interpreter("3.10.1", None)}
    monkeypatch.setattr(interpreters, "installed", here.get)
    assert interpreters.find(catalogue.find("tf2")).version == "3.12.1"
