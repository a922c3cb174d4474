"""Which TensorFlow releases exist, what each needs, and its verified lock.

Pure data and look-ups, Python 3.10 and newer. Imports ``errors`` only.
"""
