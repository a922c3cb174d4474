"""How an order is carried out on this machine: which release, which recipe, which Python."""

from dataclasses import dataclass

from tfprovisioner import environments, interpreters
from tfprovisioner.catalogue import Release
from tfprovisioner.interpreters import Interpreter
from tfprovisioner.order import Order
from tfprovisioner.recipe import Recipe, recipe_for


@dataclass(frozen=True)
class Plan:
    """Everything that a backend needs to know."""

    release: Release
    recipe: Recipe
    interpreter: Interpreter
    order: Order


def choose(order: Order, release: Release) -> Recipe:
    """The recipe of an environment that is there, before interpreters are searched, which takes seconds."""
    if not order.rebuild:
        for minor in interpreters.minors(order, release):
            recipe = recipe_for(order, release, minor)
            existing = environments.current(recipe)
            if existing is not None and existing.problem() is None:
                return recipe
    return recipe_for(order, release, interpreters.find(order, release).minor)
