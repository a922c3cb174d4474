"""Brings a Keras model from one TensorFlow release to another. Python 3.6+.

``model_record`` describes a model as plain values. One process loads a model and records it; another one, with another
release, rebuilds it. These functions use the TensorFlow and Keras of the process that they run in.
"""
