"""The Keras of this process as the target of a conversion: its release, classes, functions, and what they take."""

import contextlib
import importlib
import inspect
import sys
from typing import Any, Iterator, List, Mapping, NamedTuple, Optional, Set

from tfkernels.conversion.layer_rules.keras_release import KerasRelease, release_of
from tfkernels.errors import ConversionError
from tfkernels.imports import own_imports

_OF_LAYER = {"name", "trainable", "dtype"}
"""The settings that every layer takes, often through ``**kwargs``."""

_OF_RECURRENT = {"zero_output_for_mask"}
"""The setting that Keras 2 takes out of ``**kwargs`` for recurrent layers."""

_SUFFIXES = {"_initializer": "initializers", "_regularizer": "regularizers", "_constraint": "constraints"}


class TargetKeras(NamedTuple):
    """Keras and the user's own classes and functions, by name. ``module`` is ``tf.keras``, or the package ``keras``."""

    module: Any
    custom_objects: Mapping[str, Any]

    @property
    def release(self) -> KerasRelease:
        tensorflow = sys.modules["tensorflow"]
        return release_of(
            {
                "keras": _version(self.module),
                "tensorflow": tensorflow.__version__,
                "package": self.module.__name__.split(".")[0],
            }
        )

    def layer_class(self, name: str) -> Any:
        """The class of layers, or ``None``. The user's own come first."""
        if name in self.custom_objects:
            return self.custom_objects[name]
        found = getattr(self.module.layers, name, None)
        if found is None:
            experimental = getattr(self.module.layers, "experimental", None)
            found = getattr(getattr(experimental, "preprocessing", None), name, None)
        return found if inspect.isclass(found) else None

    def is_custom(self, name: str) -> bool:
        return name in self.custom_objects

    def settings(self, name: str) -> Optional[Set[str]]:
        """The settings that a class of layers takes, its own and Keras's; ``None`` if there is no such class."""
        found = self.layer_class(name)
        if found is None:
            return None
        recurrent = any(kind.__name__ == "RNN" for kind in found.__mro__) and not self.release.before((1, 14))
        return _parameters(found) | _OF_LAYER | (_OF_RECURRENT if recurrent else set())

    def activations(self, name: str) -> bool:
        """Whether there is a function of this name for an activation."""
        if name in self.custom_objects:
            return True
        try:
            return callable(self.module.activations.get(name))
        except (ValueError, TypeError, AttributeError):
            return False

    def knows(self, key: str, name: str) -> bool:
        """Whether there is an initializer, regularizer or constraint of this name; ``key`` is the setting."""
        return self._object(key, name) is not None

    def settings_of(self, key: str, name: str) -> Optional[Set[str]]:
        """The settings that it takes; ``None`` if they are not known."""
        found = self._object(key, name)
        return _parameters(found) if inspect.isclass(found) and name not in self.custom_objects else None

    def _object(self, key: str, name: str) -> Any:
        if name in self.custom_objects:
            return self.custom_objects[name]
        kind = next(module for suffix, module in _SUFFIXES.items() if key.endswith(suffix))
        return getattr(getattr(self.module, kind), name, None)

    @contextlib.contextmanager
    def custom_scope(self) -> Iterator[None]:
        with self.module.utils.custom_object_scope(dict(self.custom_objects)):
            yield


def target_keras(custom_objects: Optional[Mapping[str, Any]] = None, module: Any = None) -> TargetKeras:
    """``module`` is ``tf.keras`` unless it is given. Raises ``ConversionError`` if TensorFlow is not imported."""
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None:
        raise ConversionError("Cannot rebuild a model: TensorFlow is not imported. Run: import tensorflow")
    if module is None:
        module = getattr(tensorflow, "keras", None) or tensorflow.contrib.keras
    return TargetKeras(module, dict(custom_objects or {}))


def saving_of(module: Any) -> Any:
    """Keras's module ``saving``. ``tf.keras`` lacks it in the newest releases."""
    with own_imports():
        return module.saving if hasattr(module, "saving") else importlib.import_module("keras.saving")


def _version(module: Any) -> str:
    """2.13 to 2.15 have none in ``tf.keras``: there it is the package's that has the code."""
    found = getattr(module, "__version__", None) or getattr(sys.modules.get("keras"), "__version__", None)
    return str(found or "2")


def _parameters(found: Any) -> Set[str]:
    """The parameters of ``__init__``, and of the classes above as long as ``**kwargs`` passes on what is left."""
    names: Set[str] = set()
    for kind in found.__mro__:
        if "__init__" not in vars(kind):
            continue
        parameters: List[inspect.Parameter] = list(inspect.signature(vars(kind)["__init__"]).parameters.values())[1:]
        names |= {one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}
        if kind.__name__ in ("Layer", "Module") or not any(one.kind == one.VAR_KEYWORD for one in parameters):
            break
    return names
