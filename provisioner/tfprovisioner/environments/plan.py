"""How an order is carried out on this machine: which release, which recipe, which Python."""

from dataclasses import dataclass

from tfprovisioner.catalogue.releases import Release
from tfprovisioner.environments import store
from tfprovisioner.environments.recipe import Recipe, recipe_for
from tfprovisioner.environments.request import InstallRequest
from tfprovisioner.pythons import choose as interpreters
from tfprovisioner.pythons.choose import Interpreter


@dataclass(frozen=True)
class Plan:
    """Everything that a backend needs to know."""

    release: Release
    recipe: Recipe
    interpreter: Interpreter
    order: InstallRequest


def choose(order: InstallRequest, release: Release) -> Recipe:
    """The recipe of an environment that is there, before interpreters are searched, which takes seconds."""
    found = None if order.rebuild else existing(order, release)
    return found or recipe_for(order, release, interpreters.find(order, release).minor)


def existing(order: InstallRequest, release: Release) -> Recipe | None:
    """The recipe of an environment that is there and looks whole. Raises ``NoInterpreter``."""
    for minor in interpreters.minors(order, release):
        recipe = recipe_for(order, release, minor)
        environment = store.current(recipe)
        if environment is not None and environment.problem() is None:
            return recipe
    return None
