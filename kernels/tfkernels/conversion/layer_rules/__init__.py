"""Rules that rewrite the configuration of a model's layers for another release of Keras exactly. Python 3.6+.

They work on plain values and import neither Keras nor TensorFlow. ``rewriting`` applies them; what no rule makes exact
is refused, with the layer's name. docs/design/conversion.md has the differences between releases and their sources.
"""
