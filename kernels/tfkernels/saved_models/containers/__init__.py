"""The containers that saved models are kept in: HDF5, ZIP, sorted tables, protobuf, and the tensors in them.

They know nothing of models. Imported by the readers of ``saved_models``.
"""
