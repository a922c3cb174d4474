"""The world of conda: channels, prefixes, activation, and what a user has of it. No conda is needed."""

REQUEST = "TFKERNELS_CONDA_REQUEST"
"""The variable that tells the process of ``child`` what to do. Only that process imports py-rattler while it works."""
