"""What training steps compute, in every release and in every way to write a step. Python 3.6+.

``training_trace`` is the form of a trace. TensorFlow and Keras are found through the objects that are given, as in
``models``. It may import ``models`` and ``conversion.record``; only the root of the package imports it.
"""
