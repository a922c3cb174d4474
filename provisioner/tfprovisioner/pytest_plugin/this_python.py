"""The TensorFlow of the Python that runs pytest."""

from importlib import metadata

from tfprovisioner.catalogue.releases import TENSORFLOWS


def tensorflow_version() -> str | None:
    """Its version, without an import of it."""
    for name in TENSORFLOWS:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None
