"""Run cells in another TensorFlow kernel and pass values there and back.

This package runs *inside* kernels: in TensorFlow 1.15's Python 3.7 as well as in the newest.
Importing it is cheap; what needs Jupyter is imported when it is first used.
"""

import typing

if typing.TYPE_CHECKING:
    from tfkernels.remote import RemoteKernel
    from tfkernels.shipments import Shipment

__version__ = "0.1.0"


def kernel(name: str) -> "RemoteKernel":
    """The kernel ``name`` that belongs to this process; it starts at first use.

    The same object for every call with the same name, and the one that ``%%name`` uses::

        with tfkernels.kernel("tf1") as tf1:
            tf1["x"] = np.ones((2, 3), "float32")  # bind a value there
            tf1.run("y = x + 1")
            y = tf1["y"]                            # evaluate an expression there

    Raises ``UnknownKernel`` if no kernel of that name is registered.
    """
    from tfkernels.remote import shared

    return shared(name)


def pack(values: "typing.Mapping[str, typing.Any]") -> "Shipment":
    """Values written to shared memory once, for several kernels; see ``tfkernels.shipments.pack``."""
    from tfkernels import shipments

    return shipments.pack(values)


def load_ipython_extension(shell: typing.Any) -> None:
    """``%load_ext tfkernels``: a ``%%NAME`` and a ``%NAME`` magic for every registered kernel."""
    from tfkernels.magics import load

    load(shell)


def unload_ipython_extension(shell: typing.Any) -> None:
    """``%unload_ext tfkernels``: takes the magics away and ends the kernels they started."""
    from tfkernels.magics import unload

    unload(shell)
