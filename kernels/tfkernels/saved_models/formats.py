"""The formats of saved models."""

from typing import List, Tuple

FORMATS: List[Tuple[str, str]] = [
    ("keras-h5", "Keras model in HDF5 (.h5, .hdf5, .keras before 2.12)"),
    ("keras-h5-weights", "Keras weights in HDF5"),
    ("keras-archive", "Keras archive (.keras)"),
    ("keras-archive-weights", "Keras weights in HDF5, by objects (.weights.h5)"),
    ("checkpoint-v2", "TensorFlow checkpoint, version 2 (.index, .data)"),
    ("checkpoint-v1", "TensorFlow checkpoint, version 1"),
    ("saved-model", "SavedModel folder"),
    ("frozen-graph", "frozen graph (.pb)"),
    ("meta-graph", "metagraph (.meta)"),
]
"""The formats that are read, with what they are called."""
