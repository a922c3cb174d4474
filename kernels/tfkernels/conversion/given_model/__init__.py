"""Weights of a checkpoint or graph for a model that the user gives, by rules for names. Python 3.6+.

The steps of a conversion with ``--model`` use it.
"""
