"""Run cells in another TensorFlow kernel and pass values there and back.

This package runs *inside* kernels: in TensorFlow 1.15's Python 3.7 as well as in the newest. A kernel of Python 3.6
can be the other side of it, with models and records. Importing it is cheap; what needs Jupyter, NumPy or TensorFlow is
imported when it is first used.
"""

import importlib
import sys
import types
import typing

from tfkernels.errors import UsageError
from tfkernels.imports import own_imports

if typing.TYPE_CHECKING:
    import os

    from tfkernels.client.attach import AttachedKernel
    from tfkernels.client.kernel import Kernel
    from tfkernels.client.several_kernels import each as each
    from tfkernels.comparison import compare as compare
    from tfkernels.initialization.api import same_start as same_start
    from tfkernels.model_comparison.compare import compare_models as compare_models
    from tfkernels.model_comparison.description import describe as describe
    from tfkernels.models.recorder import watch as watch
    from tfkernels.models.seed import Seeded
    from tfkernels.models.trace import trace as trace
    from tfkernels.recording import record as record
    from tfkernels.saved_models.api import inspect as inspect
    from tfkernels.saved_models.api import load_weights as load_weights
    from tfkernels.saved_models.api import weights as weights
    from tfkernels.training.api import trace_training as trace_training
    from tfkernels.transfer.segment_pool import pack as pack
    from tfkernels.transfer.segment_pool import set_memory_limit as set_memory_limit

__version__ = "0.1.0"

_ELSEWHERE = {
    "compare": "tfkernels.comparison",
    "compare_models": "tfkernels.model_comparison.compare",
    "describe": "tfkernels.model_comparison.description",
    "each": "tfkernels.client.several_kernels",
    "inspect": "tfkernels.saved_models.api",
    "load_weights": "tfkernels.saved_models.api",
    "pack": "tfkernels.transfer.segment_pool",
    "record": "tfkernels.recording",
    "same_start": "tfkernels.initialization.api",
    "set_memory_limit": "tfkernels.transfer.segment_pool",
    "trace": "tfkernels.models.trace",
    "trace_training": "tfkernels.training.api",
    "watch": "tfkernels.models.recorder",
    "weights": "tfkernels.saved_models.api",
}


_NOT_ON_PYTHON_36 = ("compare", "each")


def __getattr__(name: str) -> typing.Any:
    if name not in _ELSEWHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if sys.version_info < (3, 7) and name in _NOT_ON_PYTHON_36:
        raise AttributeError(f"tfkernels.{name} needs Python 3.7. Use it in the notebook, on values from -o.")
    with own_imports():
        module = importlib.import_module(_ELSEWHERE[name])
    return getattr(module, name)


if sys.version_info < (3, 7):  # noqa: UP036 (there __getattr__ is a method of the module's class)

    class _Module(types.ModuleType):
        def __getattr__(self, name: str) -> typing.Any:
            return __getattr__(name)

    sys.modules[__name__].__class__ = _Module


def __dir__() -> typing.List[str]:
    return sorted([*globals(), *_ELSEWHERE])


def _check_python() -> None:
    if sys.version_info < (3, 7):  # noqa: UP036 (see above)
        raise UsageError("A kernel of Python 3.6 has no magics. Use it from a notebook on a newer Python, with %%NAME.")


def kernel(name: str) -> "Kernel":
    """The kernel ``name`` that belongs to this process; it starts at first use. Any Python kernel of the machine.

    The same object for every call with the same name, and the one that ``%%name`` uses::

        with tfkernels.kernel("tf1") as tf1:
            tf1["x"] = np.ones((2, 3), "float32")  # bind a value there
            tf1.run("y = x + 1")
            y = tf1["y"]                            # evaluate an expression there

    What another kernel than one of tfkernels needs is sent to it, and nothing installed there. Raises
    ``UnknownKernel`` if no kernel of that name is registered.
    """
    _check_python()
    with own_imports():
        from tfkernels.client import kernels_by_name

    return kernels_by_name.get(name)


def attach(kernel: "typing.Union[str, os.PathLike[str]]", name: typing.Optional[str] = None) -> "AttachedKernel":
    """A kernel that runs already, another notebook's, by its connection file or the beginning of its id.

    It is used like ``tfkernels.kernel``'s and is never ended from here: ``shutdown`` leaves it. Raises
    ``UnknownKernel``, with those that run, if there is none such.
    """
    _check_python()
    with own_imports():
        from tfkernels.client.attach import attach as attach_kernel

    return attach_kernel(kernel, name)


def seed(number: int) -> "Seeded":
    """Seeds Python, NumPy and TensorFlow in this process and in the running TensorFlow kernels that it started.

    TensorFlow is imported for it in TensorFlow kernels only; elsewhere it is seeded if it is imported already.
    In graph mode the seed belongs to the default graph, and to the operations made *after* it.

    Equal seeds make a run repeatable within one release. They do **not** make two releases draw equal numbers: copy
    the weights (``load_weights``) and draw random inputs once. See docs/design/models.md.

    Returns what was seeded. Raises ``UsageError`` if ``number`` is not a whole number from 0 to 2**32 - 1, before
    anything is seeded; errors of a kernel, after all others were seeded.
    """
    with own_imports():
        from tfkernels.models.seed import seed_all

    if "tfkernels.client.kernels_by_name" not in sys.modules:  # no kernel can have been started
        return seed_all(number, {})
    with own_imports():
        from tfkernels.client.kernels_by_name import running

    return seed_all(number, {kernel.name: kernel for kernel in running() if kernel.owned and kernel.spec.ours})


def load_ipython_extension(shell: typing.Any) -> None:
    """``%load_ext tfkernels``: a ``%%NAME`` and a ``%NAME`` magic for every registered kernel."""
    _check_python()
    with own_imports():
        from tfkernels.notebook.magics import load

    load(shell)


def unload_ipython_extension(shell: typing.Any) -> None:
    """``%unload_ext tfkernels``: takes the magics away and ends the kernels they started."""
    with own_imports():
        from tfkernels.notebook.magics import unload

    unload(shell)
