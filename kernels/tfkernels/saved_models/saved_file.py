"""What a saved model contains, as data: the result of :func:`tfkernels.saved_models.read.read`."""

from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Tuple

import numpy as np

from tfkernels.imports import own_imports
from tfkernels.saved_models.limits import count_of

Shape = Tuple[int, ...]


class Weight:
    """An array in a file, which is read when it is asked for."""

    def __init__(
        self,
        name: str,
        shape: Shape,
        dtype: str,
        read: "Callable[[], np.ndarray[Any, Any]]",
        source: str = "",
    ) -> None:
        self.name = name
        """Ours, as of :func:`tfkernels.weights`."""
        self.shape = shape
        self.dtype = dtype
        """TensorFlow's name of it: ``float32``, ``bfloat16``, ``string``."""
        self.source = source or name
        """The file's name of it."""
        self._read = read

    def read(self) -> "np.ndarray[Any, Any]":
        """The values, as a new array. Raises ``UnreadableFile`` if the file is damaged or is another one by now."""
        return self._read()

    def renamed(self, name: str, source: str = "") -> "Weight":
        return Weight(name, self.shape, self.dtype, self._read, source or self.source)

    @property
    def size(self) -> int:
        """The number of values."""
        return count_of(self.shape)

    def __array__(self, dtype: Any = None, copy: Any = None) -> "np.ndarray[Any, Any]":
        array = self.read()
        return array if dtype is None else array.astype(dtype)

    def __repr__(self) -> str:
        return f"<Weight {self.name} {self.dtype}{list(self.shape)}>"


Weights = Dict[str, Weight]


class WrittenBy(NamedTuple):
    """The program that wrote a file, as far as the file tells it."""

    keras: Optional[str] = None
    """The version of Keras, as the file has it: ``2.2.4-tf``, ``2.3.1``, ``3.15.1``."""
    package: Optional[str] = None
    """``tf.keras`` or ``keras``, the package of its own."""
    tensorflow: Tuple[str, ...] = ()
    """The release, or the oldest and the newest line that it can be: ``("1.15.5",)``, ``("1.13", "2.1")``.

    The newest is empty if there is no end: ``("2.16", "")``.
    """
    evidence: Tuple[str, ...] = ()
    """Where each of it is from."""

    def __str__(self) -> str:
        keras = f"{self.package or 'Keras'} {self.keras}" if self.keras else self.package or ""
        release = f"TensorFlow {_lines(self.tensorflow)}" if self.tensorflow else ""
        return ", ".join(filter(None, (release, keras))) or "unknown"


def _lines(lines: Tuple[str, ...]) -> str:
    return f"{lines[0]} or newer" if not lines[-1] else " to ".join(lines)


class Layer(NamedTuple):
    """A layer of the architecture, at its canonical place in the model."""

    path: str
    """The place with canonical names, ``inner/conv1``; the model itself has an empty one."""
    name: str
    """The name that the file has for it."""
    class_name: str
    depth: int
    settings: Mapping[str, Any]
    inputs: Tuple[str, ...]
    """The names of the layers that it is called on."""
    weights: Tuple[str, ...]


class SavedOptimizer(NamedTuple):
    """An optimizer's settings and state."""

    class_name: Optional[str]
    config: Mapping[str, Any]
    slots: Mapping[str, Mapping[str, Weight]]
    """By the weight's name and the slot's: ``{"dense/kernel": {"m": …, "v": …}}``."""
    step: Optional[int]
    others: Mapping[str, Weight]
    """What belongs to no weight, and what could not be assigned to one."""
    steps: Mapping[str, int] = {}
    """By the weight's name, if several optimizers made different numbers of steps. Then ``step`` is ``None``."""


class Signature(NamedTuple):
    """A function of a SavedModel. Inputs and outputs are ``(dtype, shape)`` by name; a shape may be unknown."""

    inputs: Mapping[str, Tuple[str, Optional[Tuple[Optional[int], ...]]]]
    outputs: Mapping[str, Tuple[str, Optional[Tuple[Optional[int], ...]]]]
    method: str
    tags: Tuple[str, ...]


COMPILATION = "compile("
"""What ``where`` begins with for losses, metrics and optimizers."""


class CustomObject(NamedTuple):
    """A class or function that the file names and Keras does not have."""

    name: str
    kind: str
    """``layer``, ``activation``, ``initializer``, ``loss``, …"""
    where: str
    module: str = ""
    """The module that the file names for it. Nothing imports it."""
    settings: Mapping[str, Any] = {}

    @property
    def only_trains(self) -> bool:
        """Whether the compilation names it: a model is built without it."""
        return self.where.startswith(COMPILATION)


class Lambda(NamedTuple):
    """A Lambda layer: with a function's name, or with the byte code of one Python version."""

    where: str
    function: str
    """The function's name; empty for byte code."""
    python: str = ""
    """The Pythons that can run the byte code, if it tells."""


class SavedFile(NamedTuple):
    """What a file contains. Text in a terminal, tables in a notebook."""

    path: str
    format: str
    written_by: WrittenBy
    weights: Mapping[str, Weight]
    architecture: Optional[Mapping[str, Any]] = None
    """``{"class_name": …, "config": …}``, as the file has it."""
    optimizer: Optional[SavedOptimizer] = None
    moving_averages: Mapping[str, Weight] = {}
    """By the name of the weight that each one averages."""
    signatures: Mapping[str, Signature] = {}
    custom_objects: Tuple[CustomObject, ...] = ()
    lambdas: Tuple[Lambda, ...] = ()
    training_config: Optional[Mapping[str, Any]] = None
    step: Optional[int] = None
    others: Mapping[str, Weight] = {}
    """Variables that are no weights: counters, metrics, states of iterators."""
    tags: Tuple[Tuple[str, ...], ...] = ()
    """Of each metagraph of a SavedModel."""
    layers: Tuple[Layer, ...] = ()
    notes: Tuple[str, ...] = ()
    """What a reader should know: parts that are missing or could not be read."""

    def arrays(self) -> "Dict[str, np.ndarray[Any, Any]]":
        """All weights, read."""
        return {name: weight.read() for name, weight in self.weights.items()}

    def __repr__(self) -> str:
        with own_imports():
            from tfkernels.saved_models.text import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        with own_imports():
            from tfkernels.saved_models.html_page import as_html

        return as_html(self)
