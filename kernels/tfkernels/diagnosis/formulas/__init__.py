"""What a step computes, recomputed in NumPy from a trace's own arrays.

A formula that explains the arrays of one trace and not those of the other shows a difference *by itself*: it does not
matter what differed before it.
"""
