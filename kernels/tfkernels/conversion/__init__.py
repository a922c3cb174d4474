"""Brings a Keras model, or a graph, from one TensorFlow release to another. Python 3.6+.

One process loads a model and records it; another one, with another release, rebuilds it. These functions use the
TensorFlow and Keras of the process that they run in.

``record``        describes a model as plain values
``layer_rules``   rewrites the configurations of layers for another Keras, without Keras
``target``        rebuilds a model from its record
``given_model``   weights by name into a model that the user gives
``graphs``        graphs of TensorFlow 1, and SavedModels without Keras
"""
