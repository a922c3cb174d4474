"""Which Keras wrote a configuration, and which one is to read it."""

import re
from typing import Any, Mapping, NamedTuple, Tuple

Version = Tuple[int, ...]


class KerasRelease(NamedTuple):
    """A release of Keras. ``tensorflow`` is empty if nobody knows; ``package`` is ``tensorflow`` for tf.keras."""

    keras: Version
    tensorflow: Version
    package: str = "tensorflow"

    @property
    def is_keras_3(self) -> bool:
        return self.keras >= (3,)

    @property
    def of_tensorflow(self) -> bool:
        """Whether it is ``tf.keras``, also where the package ``keras`` has its code (since 2.6)."""
        return self.package != "standalone keras" and (self.package != "keras" or self.keras >= (2, 5))

    def before(self, tensorflow: Version) -> bool:
        """Whether it is certain that it came with an older TensorFlow than this, or is the older Keras."""
        return self.tensorflow < tensorflow if self.tensorflow else False

    def __str__(self) -> str:
        return f"Keras {'.'.join(map(str, self.keras))}"


def release_of(written_by: Mapping[str, Any]) -> KerasRelease:
    """The release in the ``written_by`` of a record. Keras 2 is assumed if it does not say."""
    keras = _version(written_by.get("keras")) or (2,)
    return KerasRelease(keras, _version(written_by.get("tensorflow")), str(written_by.get("package") or "tensorflow"))


def _version(text: Any) -> Version:
    return tuple(int(part) for part in re.findall(r"\d+", str(text or ""))[:2])
