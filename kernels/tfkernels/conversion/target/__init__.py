"""Rebuilds a recorded model with the Keras of this process: layers, weights, optimizer, compilation. Python 3.6+.

The steps of a conversion use it, and models that are values. ``layer_rules`` writes the configurations for it.
"""
