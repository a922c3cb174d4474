"""Child processes, uv, files, locks and the data folder.

Python 3.10 and newer. Every other folder may import it; it imports none of them.
"""
