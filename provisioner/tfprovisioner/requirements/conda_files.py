"""Conda's ``environment.yml`` and the lists of ``conda list``: packages that have a wheel of the same content.

The rest is noted: libraries, programs, CUDA, and channels.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from tfprovisioner.catalogue.releases import is_tensorflow
from tfprovisioner.errors import BadRequirement
from tfprovisioner.requirements import pip_files
from tfprovisioner.requirements.file_content import Content

_YAML = (".yml", ".yaml")

_WHEELS = {
    "tensorflow-mkl": "tensorflow", "tensorflow-eigen": "tensorflow", "tensorflow-gpu-base": "tensorflow-gpu",
    "keras-gpu": "keras", "keras-base": "keras", "matplotlib-base": "matplotlib", "seaborn-base": "seaborn",
    "pytorch": "torch", "pytorch-cpu": "torch", "pytorch-gpu": "torch", "opencv": "opencv-python",
    "py-opencv": "opencv-python", "dask-core": "dask", "py-xgboost": "xgboost", "pytables": "tables",
    "msgpack-python": "msgpack", "python-graphviz": "graphviz", "redis-py": "redis", "pyqt": "pyqt5",
}  # fmt: skip
"""Packages whose wheels have other names."""

_ENVIRONMENTS_OWN = frozenset({"pip", "setuptools", "wheel"})
"""Each kernel has its own; conda's files list them always."""

_NO_WHEELS = re.compile(
    # Names of libraries and programs. The package index has other projects under some of them.
    r"_.*|lib(?!rosa$|clang$|cst$|sass$).*|r-.*|xorg-.*|fonts?-.*|gst-.*|m2w64-.*|msys2-.*|vs\d*_runtime|.*-ng|.*_(linux|osx|win)-.*"
    r"|conda.*|anaconda.*|navigator-updater|ruamel_yaml|python_abi|pypy.*|nb_conda.*|cuda.*|cudnn|cupti|nccl|mkl.*|blas|openblas"
    r"|intel-openmp|llvm-.*|llvmdev|clang.*|gcc.*|gxx.*|gfortran.*|binutils.*|make|bazel|pkg-config|perl|ruby|r|rust|go"
    r"|openjdk|nodejs|yarn|git|git-lfs|curl|wget|unzip|parallel|pandoc|graphviz|ffmpeg|sox|x264|lame|opus|openh264|portaudio"
    r"|openssl|ca-certificates|krb5|zlib|xz|bzip2|zstd|lz4-c|snappy|blosc|sqlite|tk|readline|ncurses|icu|yaml|tzdata|expat"
    r"|pcre|glib|dbus|qt|qt-.*|qt-?[56].*|sip|zeromq|jpeg|giflib|jasper|freetype|fontconfig|cairo|pango|pixman|harfbuzz|graphite2|fribidi"
    r"|hdf4|hdf5|openmpi|mpich|mpi|boost|boost-cpp|eigen|tbb|gmp|mpfr|mpc|nettle|gnutls|gdal|geos|proj4?|postgresql|mysql|mongodb|redis"
    r"|vc|ucrt|menuinst|winpty"
)

_SPEC = re.compile(r"(?:[^\s=<>!~\[]+::)?(?P<name>[\w.-]+)\s*(?P<versions>.*)")
_PART = re.compile(r"(?P<operator>[=<>!~]{0,2})\s*(?P<version>[\w.!+*-]+)")
_LISTED = re.compile(r"^[\w.-]+=[\w.!+]+=\w+$|^@EXPLICIT$", re.MULTILINE)
_FILE = re.compile(r"https?://\S+/([\w.-]+)-([\w.!+]+)-(\w+)\.(?:conda|tar\.bz2)(?:#\w*)?")


class _Spec(NamedTuple):
    name: str
    versions: str | None
    """A specifier of pip's; ``None`` for versions that pip has no words for."""
    build: str


def is_conda(path: Path, text: str) -> bool:
    """Whether a file is an ``environment.yml``, or a list of ``conda list``, with ``--export`` or ``--explicit``."""
    return path.suffix in _YAML or _LISTED.search(text) is not None


def read(path: Path, text: str, content: Content) -> None:
    """Adds what a file with this text asks for. Raises ``BadRequirement``."""
    left: list[str] = []
    if path.suffix in _YAML:
        _read_environment(path, text, content, left)
    else:
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip() and not line.startswith(("#", "@")):
                _add(_FILE.sub(r"\1=\2=\3", line.strip()), f"{path}:{number}", content, left)
    if left:
        content.leave_out(", ".join(left), str(path), "no wheel has the same content")


def _read_environment(path: Path, text: str, content: Content, left: list[str]) -> None:
    parts = dict(_parts(path, _parsed(path, text)))
    if "dependencies" not in parts:
        raise BadRequirement(f"The file {path} cannot be used: it has no list `dependencies`. Correct it or its path.")
    for key in ("channels", "variables"):
        if key in parts:
            content.leave_out(f"`{key}`", f"{path}:{_line(parts[key])}", "it is conda's")
    for node in _items(parts["dependencies"]):
        place = f"{path}:{_line(node)}"
        if isinstance(node.value, str):
            _add(node.value.strip(), place, content, left)
            continue
        for key, lines in _parts(path, node):
            if key != "pip":
                content.leave_out(f"`{key}`", place, "it is conda's")
                continue
            for line in _items(lines):
                pip_files.read_line(str(line.value), f"{path}:{_line(line)}", content, path.parent)


def _parsed(path: Path, text: str) -> Any:
    """The nodes of a file, which know their lines; nothing is made of them."""
    import yaml

    try:
        root = yaml.compose(text, yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        cause = getattr(error, "problem", None) or "it is nested too deeply"
        raise BadRequirement(f"{path}{line} cannot be read as YAML: {cause}. Correct it.") from error
    if not isinstance(root, yaml.MappingNode):
        raise BadRequirement(f"The file {path} cannot be used: it has no list `dependencies`. Correct it or its path.")
    return root


def _parts(path: Path, node: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(node.value, list) or node.tag != "tag:yaml.org,2002:map":
        raise BadRequirement(f"{path}:{_line(node)} is neither a package nor a list with a name. Correct it.")
    return ((str(key.value), value) for key, value in node.value)


def _items(node: Any) -> list[Any]:
    return node.value if isinstance(node.value, list) and node.tag == "tag:yaml.org,2002:seq" else []


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1


def _add(text: str, place: str, content: Content, left: list[str]) -> None:
    """Adds one package of conda's, or its name to those that are ``left``."""
    name, versions, build = _spec(text, place)
    if name == "python":
        pip_files.add_python(versions or "", place, content)
    elif build.startswith("pypi"):
        pip_files.read_line(f"{name}{versions or ''}", place, content, Path())
    elif name in _WHEELS or is_tensorflow(name) or not (_NO_WHEELS.fullmatch(name) or _of_no_python(build)):
        wheel = _WHEELS.get(name, name)
        if wheel == "opencv-python" and versions and re.fullmatch(r"==[\d.]+", versions):
            versions += ".*"  # its wheels have a number more
        if versions is None:
            content.notes.append(f"{place}: {wheel!r} is taken in any version: pip cannot express {text!r}")
        if wheel not in _ENVIRONMENTS_OWN:
            pip_files.read_line(f"{wheel}{versions or ''}", place, content, Path())
    else:
        left.append(name)


def _of_no_python(build: str) -> bool:
    """Whether a build, ``py37h06a4308_0``, has no Python in its name; a number or a pattern tells nothing."""
    return re.fullmatch(r"(?=.*[a-z])\w+", build) is not None and "py" not in build


def _spec(text: str, place: str) -> _Spec:
    """A package of conda's with its versions in pip's words: ``numpy=1.19`` is ``numpy==1.19.*``."""
    found = _SPEC.fullmatch(text)
    if found is None:
        raise BadRequirement(f"{place}: {text!r} is not a conda package. Correct it.")
    name, rest = found["name"].lower(), found["versions"]
    inside = re.search(r"\[.*?version\s*=\s*['\"]?([^'\"\]]*)", rest)
    rest = inside[1] if inside else rest.partition("[")[0].strip()
    exact = re.fullmatch(r"=*\s*([^\s=<>!~,|]+)(?:\s+|=)([^\s=<>!~,|]+)", rest)
    if exact:
        return _Spec(name, _checked(f"=={exact[1]}"), exact[2])
    parts = [_PART.fullmatch(part.strip()) for part in rest.split(",")] if rest else []
    if any(part is None for part in parts):
        return _Spec(name, None, "")
    return _Spec(
        name, _checked(",".join(_in_pips_words(part["operator"], part["version"]) for part in parts if part)), ""
    )


def _in_pips_words(operator: str, version: str) -> str:
    bare = version.rstrip(".*")
    if operator in ("", "==", "="):
        return f"=={bare}.*" if operator == "=" or bare != version else f"=={version}"
    return f"{operator}{version if operator == '!=' else bare}"


def _checked(specifier: str) -> str | None:
    try:
        SpecifierSet(specifier)
    except InvalidSpecifier:
        return None
    return specifier
