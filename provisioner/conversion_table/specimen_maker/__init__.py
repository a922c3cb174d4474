"""Makes the specimens that are converted, in a process of the release that saves them. Python 3.6+, TensorFlow 1.4+.

``conversion_table.making`` runs ``make`` in a kernel of each release. Models are the same in all releases; what a
release has no function for is left out.
"""
