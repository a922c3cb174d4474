"""Libraries of the system that wheels need and do not bring, and the packages of Debian and Ubuntu that have them."""

import re

DEBIAN = {
    "libasound": "libasound2", "libblas": "libblas3", "libegl": "libegl1", "libfontconfig": "libfontconfig1",
    "libgeos_c": "libgeos-c1v5", "libgl": "libgl1", "libglib-2.0": "libglib2.0-0", "libgomp": "libgomp1",
    "libgthread-2.0": "libglib2.0-0", "libice": "libice6", "liblapack": "liblapack3", "libmagic": "libmagic1",
    "libopus": "libopus0", "libosmesa": "libosmesa6", "libportaudio": "libportaudio2", "libpq": "libpq5",
    "libsm": "libsm6", "libsndfile": "libsndfile1", "libstdc++": "libstdc++6", "libusb-1.0": "libusb-1.0-0",
    "libx11": "libx11-6", "libxext": "libxext6", "libxrender": "libxrender1",
}  # fmt: skip
"""By the name of the library's file in lower case, up to ``.so``."""

_LOADED = re.compile(r"((lib[\w.+-]+?)\.so[.\d]*): cannot open shared object file")
_SEARCHED = re.compile(r"\b((\w+) library not found)")  # soundfile, sounddevice

_OTHER = re.compile(r"libtensorflow|libcu|libnv|libpython|lib\S*-[0-9a-f]{6,}\.so")
"""A missing one is of another TensorFlow or Python, of CUDA, or of a damaged wheel, which names them like this."""


def missing(error: str) -> str | None:
    """Which library of the system is missing according to the error of an import, and what helps."""
    loaded, searched = _LOADED.search(error), _SEARCHED.search(error)
    if loaded and not _OTHER.match(loaded[1]):
        name, package = loaded[1], DEBIAN.get(loaded[2].lower())
    elif searched and f"lib{searched[2].lower()}" in DEBIAN:
        name = f"lib{searched[2].lower()}"
        package = DEBIAN[name]
    else:
        return None
    install = f"it (Debian and Ubuntu: apt install {package})" if package else "the system's package that has it"
    return f"The system library {name} is missing. Install {install}"
