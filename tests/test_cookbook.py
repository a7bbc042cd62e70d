"""Every query of the cookbook prints what the page says."""

from __future__ import annotations

import pytest

from tests.cookbook import Recipe, answer, recipes

RECIPES = list(recipes())


def test_all_of_them_are_found() -> None:
    assert len(RECIPES) == 22


@pytest.mark.parametrize("recipe", RECIPES, ids=[recipe.title for recipe in RECIPES])
def test_what_is_printed(recipe: Recipe) -> None:
    assert answer(recipe.capture, recipe.sql) == recipe.result
