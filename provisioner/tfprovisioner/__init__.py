"""Makes and launches TensorFlow kernels: environments, kernelspecs, the ``KernelProvisioner``, the command line.

Runs in the user's Jupyter environment (Python 3.10 or newer). It may import ``tfkernels``; never the other way round.
"""
