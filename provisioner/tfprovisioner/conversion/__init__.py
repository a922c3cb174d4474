"""Conversion of a saved model to another release, with the proof: what ``tfkernels convert`` does.

It starts processes of both releases, which use ``tfkernels.conversion``, and compares what they compute. ``cli`` and
``catalogue_builder`` import it.
"""
