"""``pytest --tf 1.15,2.21``: a library's tests on several TensorFlow releases, with one report.

Python 3.10 and newer. pytest loads ``plugin`` wherever tfkernels is installed; it imports the rest with ``--tf`` only.
What runs in the environments is ``tfkernels.testing``. See docs/design/pytest.md.
"""
