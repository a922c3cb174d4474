"""Readers of saved models: what a file is, and what is in it. They execute nothing of it. Python 3.6+, NumPy.

``read`` is the way in. Only HDF5 files need a library (h5py); TensorFlow and Keras are never imported. Every
size, depth and address in a file is checked before it is used, so that files of strangers can be read.
"""
