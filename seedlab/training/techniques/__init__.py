"""The effect of every technique, a module each: on parameters, on steps and on evaluation.

Effects know tensors, models and their own settings (`seedlab.techniques`), and no configuration.
"""
