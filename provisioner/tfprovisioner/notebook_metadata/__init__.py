"""What a notebook says about its kernel: written by ``pin`` and ``run``, read by ``install``, ``open`` and ``doctor``.

A notebook is data from elsewhere: nothing of it is executed, and no index or URL is taken from it. ``batch`` and
``cli`` import it.
"""
