"""Notebooks and scripts on many kernels: what is to run, running it here or on a cluster, and what came out."""
