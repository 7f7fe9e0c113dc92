"""The settings of every technique, a module each: no torch, and nothing of another layer.

`seedlab.spec.recipe.RecipeSpec` lists the techniques; `seedlab.training.techniques` has their
effects.
"""
