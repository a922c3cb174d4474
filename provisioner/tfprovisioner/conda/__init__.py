"""The world of conda: channels, prefixes, activation, and what a user has of it. No conda is needed."""

CHILD = "tfprovisioner.conda.child"
"""The module that works in a process of its own. Nobody imports it: py-rattler takes as long as all the rest."""

REQUEST = "TFKERNELS_CONDA_REQUEST"
"""The variable that holds what it is asked to do."""
