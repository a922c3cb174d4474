"""Requirement files of pip, also as ``pip freeze`` and people write them."""

import os
import re
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from tfprovisioner.catalogue.releases import is_tensorflow
from tfprovisioner.errors import BadRequirement
from tfprovisioner.requirements.file_content import Content, Line, text_of
from tfprovisioner.requirements.lines import HASH, LIMIT, checked
from tfprovisioner.system.redact import cleaned, redacted

_VERSION_CONTROL = re.compile(r"(?:[^@:]*@\s*)?(?:(?:git|hg|svn|bzr)\+|git@|git:)", re.IGNORECASE)
_ADDRESS = re.compile(r"(?:(?P<name>[\w.-]+)\s*(?:\[[^\]]*\])?\s*@\s*)?(?P<url>(?:https?|file)://\S+)", re.IGNORECASE)
_PLACE_ON_DISK = re.compile(
    r"(?:\.{0,2}|~|[A-Za-z]:)[\\/]|\.\.?(?:\[|$)|(?![^@]*@)\S+[\\/]|\S+\.(?:whl|zip|tar\.\w+|tgz)$"
)
_QUOTED = re.compile(r"""^(["'])([^"']*)\1$""")
_PYTHON = re.compile(r"python\s*((?=[<>=!~]).*)?", re.IGNORECASE)

_MIRRORS = frozenset(
    # Copies of PyPI. The file may name one, and PyPI has the same packages.
    {
        "pypi.org", "pypi.python.org", "pypi.tuna.tsinghua.edu.cn", "mirrors.aliyun.com", "pypi.douban.com",
        "pypi.doubanio.com", "mirrors.ustc.edu.cn", "pypi.mirrors.ustc.edu.cn", "mirrors.cloud.tencent.com",
        "repo.huaweicloud.com",
    }
)  # fmt: skip

_NO_PACKAGES = {
    "pkg-resources": "Ubuntu's pip freeze lists it by mistake, and it is a part of setuptools",
    "futures": "it is for Python 2; Python 3 has concurrent.futures",
}

_OF_PYTHON = sys.stdlib_module_names - {"contextvars", "dataclasses", "datetime", "graphlib", "tomllib", "zoneinfo"}
"""Python imports its own module of the name, whatever is installed. Those left out are newer than 3.6, or Zope's."""

_RENAMED = {"sklearn": "scikit-learn"}
"""Names that the index has only as a redirection, which no longer installs."""

_SOURCES = "files do not choose where packages come from"

_NOT_HELD = {
    "pre": "name an exact version of each package that should be a pre-release",
    "no_binary": "packages are installed from wheels where they have some",
}
"""Options that change the versions, or how packages are installed. Options that are in neither table change nothing."""


def read(path: Path, text: str, content: Content) -> None:
    """Adds what a file with this text asks for, with the files that it includes. Raises ``BadRequirement``."""
    _read_file(path, text, content, "", {(os.path.realpath(path), "")})


def read_line(line: str, place: str, content: Content, folder: Path) -> None:
    """Adds what a line of pip's in another kind of file asks for; its paths begin in ``folder``."""
    _read(line, folder, lambda _: place, content, "", set())


def add_python(versions: str, place: str, content: Content) -> None:
    """Adds versions of Python, as specifiers; ``=3.6`` and ``==3.6`` mean all of 3.6."""
    versions = versions.partition(";")[0].strip()
    versions = re.sub(r"^==?\s*(\d+\.\d+)$", r"==\1.*", versions)
    try:
        for alternative in versions.split("||"):
            SpecifierSet(alternative)
    except InvalidSpecifier as error:
        raise BadRequirement(f"{place}: 'python{versions}' is not a version of Python. Correct it.") from error
    if versions:
        content.pythons.append(Line(versions, place))


def _add(line: str, place: str, content: Content, folder: Path, limit: str = "") -> None:
    """Adds what one line asks for that has no option but hashes. Raises ``BadRequirement``."""
    text, *options = re.split(r"\s--", line.strip())
    hashes = [option for option in options if option.startswith("hash")]
    if len(hashes) < len(options):
        others = (f"--{re.split(r'[ =]', option)[0]}" for option in options if option not in hashes)
        content.leave_out(", ".join(others), place, "packages are built without options of their own")
    text = _QUOTED.sub(r"\2", text.rstrip(";, \t")).rstrip(";, \t").strip()
    if _VERSION_CONTROL.match(text):
        _leave_to_pip(text, text, place, content)
        return
    address = _ADDRESS.match(text)
    if address is not None:
        text = _at_address(text, address["name"], address["url"], place, content)
    elif _PLACE_ON_DISK.match(text):
        text = _on_disk(text, place, content, folder)
    python = _PYTHON.fullmatch(text)
    if python is not None:
        add_python(python[1] or "", place, content)
    elif text:
        checksums = "".join(f"{HASH}{re.split(r'[ =]', option, maxsplit=1)[-1].strip()}" for option in hashes)
        _add_package(f"{limit}{text}{checksums}", place, content)


def _read_file(path: Path, text: str, content: Content, limit: str, seen: set[tuple[str, str]]) -> None:
    _read(text, path.parent, lambda number: f"{path}:{number}", content, limit, seen)


def _read(
    text: str, folder: Path, place_of: Callable[[int], str], content: Content, limit: str, seen: set[tuple[str, str]]
) -> None:
    """``seen`` are the files that were included already, each with its ``limit``: they are read once."""
    for number, line, options in _parsed(text, place_of):
        place = place_of(number)
        try:
            if options is None:
                editable = re.match(r"(-e|--editable)[\s=]*", line)
                _add(line[editable.end() :] if editable else line, place, content, folder, limit)
            else:
                _leave_out_options(options, place, content)
        except ValueError as error:  # a bad URL
            raise BadRequirement(f"{place}: {redacted(line)!r} cannot be used: {error}. Correct it.") from error
        for word, limiting in (("requirements", limit), ("constraints", LIMIT)):
            for name in (options or {}).get(word, ()):
                if "://" in name:
                    raise BadRequirement(
                        f"{place} includes {redacted(name)}: files of the web are not read. Save it, and name the copy."
                    )
                included = folder / os.path.expanduser(name)
                if not included.is_file():
                    raise BadRequirement(f"{place} includes {included}, and there is no such file. Correct the line.")
                if (os.path.realpath(included), limiting) not in seen:
                    seen.add((os.path.realpath(included), limiting))
                    _read_file(included, text_of(included), content, limiting, seen)


def _parsed(text: str, place_of: Callable[[int], str]) -> Iterator[tuple[int, str, dict[str, Any] | None]]:
    """The number and the text of each line, without comments and continued ones joined; its options if it has some."""
    # Only for this: it takes as long as the start of a command
    from pip_requirements_parser import InstallationError, RequirementsFile

    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "requirements.txt"
        copy.write_text(text, encoding="utf-8-sig")  # the parser goes by the mark, not by the locale
        try:
            found = RequirementsFile.from_file(str(copy), include_nested=False)
        except (InstallationError, ValueError) as error:
            raise BadRequirement(f"{place_of(1)}: {redacted(str(error))}. Correct the file.") from error
    lines: dict[int, tuple[str, dict[str, Any] | None]] = {}
    for bad in found.invalid_lines:
        known = re.match(r"(-\S+)", bad.line)
        lines[bad.line_number] = (bad.line, {known[1]: True} if known else None)
    for one in found.requirements:
        lines[one.requirement_line.line_number] = (one.requirement_line.line, None)
    for one in found.options:
        lines[one.requirement_line.line_number] = (one.requirement_line.line, one.options or None)
    for number, (line, options) in sorted(lines.items()):
        yield number, line, options


def _leave_out_options(options: dict[str, Any], place: str, content: Content) -> None:
    addresses = [options.get("index_url"), *options.get("extra_index_urls", ())]
    elsewhere = [url for url in addresses if url and urlsplit(url).hostname not in _MIRRORS]
    chosen = bool({"UV_DEFAULT_INDEX", "UV_INDEX_URL"} & os.environ.keys())
    if (options.get("no_index") or options.get("index_url") in elsewhere) and not chosen:
        # Packages of a private index may have other content on PyPI, by somebody else.
        what = "--no-index" if options.get("no_index") else f"the index {redacted(elsewhere[0])}"
        raise BadRequirement(
            f"{place} names {what} in place of PyPI, and {_SOURCES}. If you trust it, give its address with --index; "
            f"for PyPI's packages, delete the line."
        )
    for url in elsewhere:
        content.leave_out(f"the index {redacted(url)}", place, f"{_SOURCES}. Set UV_INDEX to its address")
    for url in options.get("find_links", ()):
        advice = f"{_SOURCES}. Save the wheels in a folder, and name it with --find-links"
        content.leave_out(f"--find-links {redacted(url)}", place, advice)
    for option, reason in _NOT_HELD.items():
        if options.get(option):
            content.leave_out(f"--{option.replace('_', '-')}", place, reason)


def _leave_to_pip(text: str, source: str, place: str, content: Content, editable: str = "") -> None:
    """Notes the command for what is not taken from files: code of a version control, a folder, a source archive."""
    command = f"%pip install {editable}{shlex.quote(cleaned(source))}"
    reason = f"tfkernels installs packages of an index. In a cell of the kernel: {command}"
    content.leave_out(repr(cleaned(text)), place, reason)


def _at_address(text: str, name: str | None, url: str, place: str, content: Content) -> str:
    """A requirement in place of one by its address; empty if there is none."""
    path = Path(unquote(urlsplit(url).path))
    wheel = _wheel(path.name)
    if url.lower().startswith("file:") and not path.exists():  # a folder in which conda built the package
        if name is None and wheel is None:
            content.leave_out(repr(text), place, "there is no such file on this machine")
            return ""
        known = f"{wheel[0]}=={wheel[1]}" if wheel else str(name)
        content.notes.append(f"{place}: {known!r} is taken for a file of the machine where the list was made")
        return known
    if wheel is None:
        _leave_to_pip(text, text, place, content)
        return ""
    if is_tensorflow(wheel[0]):
        return f"{wheel[0]}=={wheel[1]}"
    return text if name else f"{wheel[0]} @ {url}"


def _on_disk(text: str, place: str, content: Content, folder: Path) -> str:
    """A requirement in place of a path; empty if there is none."""
    name = text.partition("[")[0]
    paths = [base / os.path.expanduser(name) for base in (folder, Path())]
    path = next((path for path in paths if path.exists()), None)
    wheel = _wheel(re.split(r"[\\/]", name)[-1])
    if wheel is not None and is_tensorflow(wheel[0]):
        return f"{wheel[0]}=={wheel[1]}"
    if path is None:
        content.leave_out(repr(text), place, "there is no such file")
    elif wheel is not None:
        return f"{wheel[0]} @ {path.absolute().as_uri()}"
    else:
        absolute = os.path.normpath(path.absolute()) + text.removeprefix(name)
        _leave_to_pip(text, absolute, place, content, "-e " if path.is_dir() else "")
    return ""


def _wheel(name: str) -> tuple[str, str] | None:
    """The package and the version of a wheel's file name."""
    try:
        package, version, *_ = parse_wheel_filename(name)
    except InvalidWheelFilename:
        return None
    return package, str(version)


def _add_package(line: str, place: str, content: Content) -> None:
    single = re.match(r"(?:-c )?([\w.-]+)\s*=\s*(\d[\w.]*)", line)
    try:
        checked(line)
    except BadRequirement as error:
        hint = f" Did you mean '{single[1]}=={single[2]}'?" if single else ""
        raise BadRequirement(f"{place}: {error}{hint}") from error
    requirement = Requirement(line.removeprefix(LIMIT).partition(HASH)[0])
    name = canonicalize_name(requirement.name)
    if name in _NO_PACKAGES:
        content.leave_out(repr(line), place, _NO_PACKAGES[name])
    elif name in _OF_PYTHON and not line.startswith(LIMIT):
        content.leave_out(repr(line), place, "Python has this module itself, and imports that")
    elif name in _RENAMED:
        content.notes.append(f"{place}: {requirement.name!r} is an old name, and {_RENAMED[name]} is taken")
        requirement.name = _RENAMED[name]
        # Versions 0.0 are of the redirection
        own = (str(part) for part in requirement.specifier if not part.version.startswith("0.0"))
        requirement.specifier = SpecifierSet(",".join(own))
        content.requirements.append(Line(f"{LIMIT if line.startswith(LIMIT) else ''}{requirement}", place))
    else:
        content.requirements.append(Line(line, place))
