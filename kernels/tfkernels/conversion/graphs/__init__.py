"""Graphs of TensorFlow 1, and SavedModels that are no Keras models: run where they were written, wrapped in the target.

Modules here import TensorFlow, and nothing of Keras. A graph is data until it runs; only the operations that its
outputs need run, and none of those that reach outside of the process (``outside_access``) unless the user trusts it.

``graph_file``        what a file holds: GraphDef, signatures, and where the values of its variables are
``session_run``       the outputs of a file in the release that wrote it, with TensorFlow's own loader
``graph_module``      the graph as ``tf.Module`` of TensorFlow 2, whose variables are trainable
``saved_graph``       writes and opens what the target can load: a SavedModel, a ``.keras`` file with a TFSMLayer
"""
