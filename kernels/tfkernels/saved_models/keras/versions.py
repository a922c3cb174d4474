"""Which program wrote a file: from the versions in it, else from the features of its release."""

import re
from typing import Any, Mapping, Optional, Sequence, Tuple

from tfkernels.saved_models.saved_file import WrittenBy

_OF_TF_KERAS: Sequence[Tuple[str, Tuple[str, str]]] = (
    (r"2\.0\.\d+-tf", ("1.0", "1.4")),
    (r"2\.1\.[0-5]-tf", ("1.5", "1.8")),
    (r"2\.1\.6-tf", ("1.9", "1.12")),
    (r"2\.2\.4-tf", ("1.13", "2.1")),
    (r"2\.3\.0-tf", ("1.15", "2.2")),
    (r"2\.4\.0(-tf)?", ("2.3", "2.4")),
    (r"2\.5\.0", ("2.5", "2.5")),
)
"""The lines of TensorFlow whose ``tf.keras`` has this version. From 2.6 on the two numbers are equal."""


def of_keras(
    version: Optional[str],
    architecture: Optional[Mapping[str, Any]] = None,
    variables: Sequence[str] = (),
) -> WrittenBy:
    """By the version in the file, else by what the configuration and the names of variables look like."""
    if version:
        return _of_version(version)
    return _of_features(architecture, variables)


def _of_version(version: str) -> WrittenBy:
    from_file = f"Keras {version}: from the file"
    for pattern, (oldest, newest) in _OF_TF_KERAS:
        if re.fullmatch(pattern, version):
            lines = (oldest,) if oldest == newest else (oldest, newest)
            return WrittenBy(version, "tf.keras", lines, (from_file, f"TensorFlow: its tf.keras is {version}"))
    number = re.match(r"(\d+)\.(\d+)", version)
    major, minor = (int(number[1]), int(number[2])) if number else (0, 0)
    if (major, minor) >= (3, 0):
        return WrittenBy(version, "keras", ("2.16", ""), (from_file, "TensorFlow: has Keras 3 since 2.16"))
    if (major, minor) >= (2, 6):
        line = f"2.{minor}"
        return WrittenBy(version, "tf.keras", (line,), (from_file, f"TensorFlow: Keras {line} is of TensorFlow {line}"))
    if major == 2:
        evidence = "package keras: tf.keras of that time says -tf behind its version"
        return WrittenBy(version, "keras", (), (from_file, evidence))
    return WrittenBy(version, None, (), (from_file,))


def _of_features(architecture: Optional[Mapping[str, Any]], variables: Sequence[str]) -> WrittenBy:
    if architecture is not None:
        if "registered_name" in architecture or "module" in architecture:
            return WrittenBy(None, "keras", ("2.12", ""), ("layers have modules, as since TensorFlow 2.12",))
        if isinstance(architecture.get("config"), list):
            return WrittenBy(None, None, ("1.0", "1.10"), ("a Sequential is a list of layers, as up to Keras 2.2.2",))
    if any(":" in name for name in variables):
        return WrittenBy(None, None, ("1.0", "2.15"), ("variables end with :0, as before Keras 3",))
    return WrittenBy()


def of_release(version: str, where: str) -> WrittenBy:
    """By the release that a SavedModel or a metagraph has in it."""
    return WrittenBy(tensorflow=(version,), evidence=(f"TensorFlow {version}: {where}",)) if version else WrittenBy()


def with_keras(written_by: WrittenBy, other: WrittenBy) -> WrittenBy:
    """Both together; a release from the file counts more than lines."""
    return WrittenBy(
        other.keras or written_by.keras,
        other.package or written_by.package,
        written_by.tensorflow or other.tensorflow,
        written_by.evidence + other.evidence,
    )
