"""What a step of a TensorFlow 1 graph computes: found in the graph, and evaluated in the run that trains. Python 3.6+.

It imports ``training_trace`` and ``models``. See docs/design/training-of-graphs.md.
"""
