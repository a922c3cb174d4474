"""Random numbers that TensorFlow draws while a model runs or is built: recorded, and replaced by those of a trace."""

import contextlib
import sys
import weakref
from typing import Any, Callable, Dict, Iterator, Mapping, Optional, Sequence, Set, Tuple

import numpy as np

from tfkernels.errors import TraceError
from tfkernels.models.layer_names import take_name
from tfkernels.models.replaced_attributes import replaced

_DRAWS = {
    "gen_random_ops": ("random_uniform", "random_standard_normal", "truncated_normal"),
    "gen_stateless_random_ops": (
        "stateless_random_uniform", "stateless_random_normal", "stateless_truncated_normal",
    ),
    "gen_stateless_random_ops_v2": (
        "stateless_random_uniform_v2", "stateless_random_normal_v2", "stateless_truncated_normal_v2",
    ),
    "gen_stateful_random_ops": ("stateful_uniform", "stateful_standard_normal_v2", "stateful_truncated_normal"),
}  # fmt: skip
"""The functions through which every release draws floating numbers, by module: from 0 to 1, or of the normal
distribution. TensorFlow has no public place where all of them pass."""


UNIFORM, NORMAL, TRUNCATED = "uniform", "normal", "truncated normal"

REPLACED: "weakref.WeakKeyDictionary[Any, Dict[Tuple[str, int], Callable[[Any], Any]]]" = weakref.WeakKeyDictionary()
"""By graph, layer and number of the draw: what makes the numbers of ``same_start`` of those that were drawn."""

MASK_COUNTS = "tfkernels/mask_steps"
"""The collection of a graph with the variables that count how often ``same_start`` drew each mask."""

EAGER_MASK_COUNTS: "weakref.WeakValueDictionary[int, Any]" = weakref.WeakValueDictionary()
"""The same of models that compute eagerly, by their ids."""


def eager_mask_counts() -> Callable[[], None]:
    """Puts back, when it is called, what the counts are now. Those that were made meanwhile begin at 0."""
    before = {key: (count, count.numpy()) for key, count in EAGER_MASK_COUNTS.items()}

    def put_back() -> None:
        for key, count in list(EAGER_MASK_COUNTS.items()):
            count.assign(before[key][1] if key in before else 0)

    return put_back


@contextlib.contextmanager
def draws_pass(through: Callable[[Any, str], Any]) -> Iterator[None]:
    """Meanwhile numbers that were drawn are what ``through`` makes of them and of their distribution."""
    functions = []
    for module_name, names in _DRAWS.items():
        module = sys.modules.get(f"tensorflow.python.ops.{module_name}") or sys.modules.get(
            f"tensorflow_core.python.ops.{module_name}"
        )
        spellings = [spelling for name in names for spelling in (name, f"_{name}")]  # the second one up to 1.5
        functions += [(module, name, getattr(module, name)) for name in spellings if hasattr(module, name)]
    with replaced(
        (module, name, _passing(function, _distribution(name), through)) for module, name, function in functions
    ):
        yield


def _distribution(name: str) -> str:
    """Of the numbers that the function of this name draws."""
    return TRUNCATED if "truncated" in name else NORMAL if "normal" in name else UNIFORM


def _passing(original: Callable[..., Any], kind: str, through: Callable[[Any, str], Any]) -> Callable[..., Any]:
    """Of several that are entered, the innermost gets the numbers first: so a trace sees those of ``same_start``."""
    raw, outer = getattr(original, "passes", (original, None))

    def all_of_them(numbers: Any) -> Any:
        numbers = through(numbers, kind)
        return numbers if outer is None else outer(numbers)

    def draw(*args: Any, **kwargs: Any) -> Any:
        return all_of_them(raw(*args, **kwargs))

    draw.passes = (raw, all_of_them)  # type: ignore[attr-defined]
    return draw


class NamedDraws:
    """The numbers that are drawn in one step, by the name of the layer; those of another trace take their place."""

    def __init__(self) -> None:
        self.found: Dict[str, Any] = {}
        self._names: Set[str] = set()

    def add(self, layer: str, numbers: Any) -> str:
        name = take_name(layer or "step", self._names)
        self.found[name] = numbers
        return name


class HandedOver:
    """The random numbers of one step of another trace. Each is used once: that of the same name, or else in order."""

    def __init__(self, numbers: Mapping[str, Any]) -> None:
        self._left = dict(numbers)

    def take(self, name: str, shape: Optional[Sequence[Optional[int]]]) -> Any:
        """Numbers of this shape; a graph does not know all of it. Raises ``TraceError`` if there are none."""
        source = name if name in self._left else self._next(shape)
        if source is None:
            raise TraceError(
                f"masks: {name} draws numbers of the shape {_shown(shape)}, and the other trace has none left for it "
                f"({_listed(self._left)}). Both models must drop the same values, in batches of one size"
            )
        numbers = np.asarray(self._left.pop(source))
        if not _fits(numbers.shape, shape):
            raise TraceError(
                f"masks: {name} draws numbers of the shape {_shown(shape)}, and those of the other trace have "
                f"{numbers.shape}. Both models must drop the same values, in batches of one size"
            )
        return numbers

    def _next(self, shape: Optional[Sequence[Optional[int]]]) -> Optional[str]:
        return next((name for name, numbers in self._left.items() if _fits(np.shape(numbers), shape)), None)


def _fits(found: Sequence[int], shape: Optional[Sequence[Optional[int]]]) -> bool:
    if shape is None:
        return True
    return len(found) == len(shape) and all(size is None or size == own for own, size in zip(found, shape))


def _shown(shape: Optional[Sequence[Optional[int]]]) -> str:
    return "(unknown)" if shape is None else str(tuple(shape))


def _listed(numbers: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {np.shape(value)}" for name, value in numbers.items()) or "all are used"
