"""Running uv: its binary, its settings, its progress, and what helps when it fails."""

import functools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from uv import find_uv_bin

from tfkernels import env_vars
from tfprovisioner.errors import BuildFailed, ProvisionError
from tfprovisioner.system import certificates, data_dir, subprocesses
from tfprovisioner.system.redact import is_secret, redacted

_DECIDED = (
    # Variables that would change which interpreter and which packages are taken, or whether they are checked
    "UV_PYTHON", "UV_SYSTEM_PYTHON", "UV_CONSTRAINT", "UV_OVERRIDE", "UV_BUILD_CONSTRAINT", "UV_EXCLUDE_NEWER",
    "UV_NO_BINARY", "UV_ONLY_BINARY", "UV_NO_BUILD", "UV_NO_BUILD_ISOLATION", "UV_NO_VERIFY_HASHES", "UV_RESOLUTION",
    "UV_PRERELEASE",
)  # fmt: skip

UNREACHABLE = r"could not be queried|[Nn]etwork (connectivity )?(was|is) disabled"
NOT_IN_INDEX = r"was not found in the|no version of (?!tensorflow)\S+?(\{[^}]*\})?==|no versions of [\w.-]+\s"
NO_WHEEL = r"no usable wheels|no wheels with a matching|building from source is disabled|no compatible wheel"
"""Patterns in uv's output, with single spaces: why it found no packages."""

Settings = Mapping[str, Any]
"""Settings for one run, as in a ``uv.toml``: lists of texts, and tables."""

OF_THE_DAY = {
    r"filtered by `exclude-newer(-package)?`((?!published at|Consider ).)*Consider ": (
        "the index does not say when its files were uploaded, and --as-of needs that. Choose an index that does "
        "(--index), or the tested packages: --as-of usual"
    ),
    r"filtered by `exclude-newer": (
        "a package had no fitting version on that day. Ask for another version of it, or choose a later day: --as-of"
    ),
}
"""Why packages of an earlier day were not found, as in ``_CAUSES``."""

_CAUSES = OF_THE_DAY | {
    # a pattern in uv's output: what it means, and what helps; each has a test in which uv really says so
    r"No space left on device|os error 28|Disk quota exceeded": (
        "the disk is full. Free some space (an environment takes up to 2 GB), or set TFKERNELS_HOME and UV_CACHE_DIR "
        "to other disks"
    ),
    r"Failed to initialize cache|Could not create temporary file": (
        "uv cannot write its cache. Name a folder that you can write to in UV_CACHE_DIR"
    ),
    r"Resource temporarily unavailable": (
        "the limit of processes and threads is reached. End some programs, or raise the limit (ulimit -u)"
    ),
    r"[Hh]ash mismatch": (
        "the index or mirror serves another file than the lock names. Check --index, UV_DEFAULT_INDEX and uv.toml; for "
        "the lock of a file or notebook, also who made it"
    ),
    r"there is no version of tensorflow|only tensorflow\S* .*is available": (
        "the index lacks that TensorFlow. Choose a release that `tfkernels releases` shows"
    ),
    r"[Nn]etwork (connectivity )?(was|is) disabled": (
        "the network may not be used (--offline, UV_OFFLINE or uv.toml), and uv's cache lacks a package. Omit "
        "--offline once, or fill a folder with the wheels and name it with --find-links"
    ),
    r"401 Unauthorized|403 Forbidden|407 Proxy": (
        "the index, or a proxy before it, wants another user or password. Check the URL in --index, UV_DEFAULT_INDEX "
        "or uv.toml, ~/.netrc and HTTPS_PROXY"
    ),
    r"UnknownIssuer": (
        "the index, or a proxy before it, has a certificate of an authority that uv does not know. "
        + certificates.advice()
    ),
    NO_WHEEL: "a package has no wheel for this Python and platform. Name a folder with such a wheel: --find-links",
    r"dns error|error sending request|[Cc]onnection (refused|reset)|timed out|tcp connect error|Request failed": (
        "the index cannot be reached. Check the network, or UV_DEFAULT_INDEX and HTTPS_PROXY if you use a mirror or a "
        "proxy"
    ),
    NOT_IN_INDEX: (
        "the index has no such package or version. Check the package's name, --index, UV_DEFAULT_INDEX and uv.toml"
    ),
}

_MISLEADING = {
    # settings in a uv.toml, as uv shows them, with which an environment would not be what was verified, or elsewhere
    "target": r"\btarget: Some",
    "prefix": r"\bprefix: Some",
    "python-platform": r"\bpython_platform: Some",
    "python-version": r"\bpython_version: Some",
    "no-binary": r"\bno_binary: (Packages|All)",  # code of others would be run
    "link-mode": r"\blink_mode: Symlink",  # `uv cache clean` would empty all environments
}


class UvFailed(BuildFailed):
    """uv ended with an error. ``output`` is all that it said, without secrets."""

    def __init__(self, output: str) -> None:
        self.output = output
        words = " ".join(output.split())  # uv breaks its lines where it likes
        cause = next((f": {cause}" for pattern, cause in _CAUSES.items() if re.search(pattern, words)), "")
        tail = "\n".join(output.splitlines()[-12:])
        super().__init__(f"Building the environment failed, and nothing was changed{cause}. uv reported:\n{tail}")


def run(
    arguments: list[str],
    cwd: Path,
    say: Callable[[str], None],
    settings: Settings | None = None,
    builds: bool = False,
    changed: Mapping[str, str] | None = None,
) -> None:
    """Runs uv and hands each line of its output to ``say``. Raises ``BuildFailed`` with the cause.

    ``cwd`` is a folder of ours, so that no project's configuration is picked up from where the user happens to be;
    the user's own uv configuration (index, proxy, cache) holds, and ``settings`` with it.
    ``builds``: setup code of packages may run, so uv gets no secrets that it does not need itself.
    ``changed``: variables of this call.
    """
    try:
        binary = find_uv_bin()
    except FileNotFoundError as error:
        raise BuildFailed(
            f"The program uv is missing ({error}). Install it again: pip install --force-reinstall uv"
        ) from error
    lines: list[str] = []
    command = [binary, "--no-progress", "--color", "never", *arguments]
    variables = {**_variables(), **(changed or {})}
    if builds:
        variables = {name: value for name, value in variables.items() if _is_uvs(name) or not is_secret(name, value)}
    if "--managed-python" in arguments:  # uv refuses to get it twice
        variables.pop("UV_PYTHON_PREFERENCE", None)
    with (
        _configured(settings or {}, cwd, variables) as configured,
        subprocesses.started(command, cwd=cwd, env=configured, stderr=subprocess.STDOUT) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(redacted(line.rstrip()))
            say(lines[-1])
    if process.returncode:
        raise UvFailed("\n".join(lines))


def for_python(path: Path | None, version: str) -> list[str]:
    """Options: the Python of an environment; without a path one that is not on this machine."""
    return ["--python", str(path)] if path else ["--python", sys.executable, "--python-version", newest_of(version)]


def newest_of(version: str) -> str:
    """A Python version with three numbers: uv takes 3.6 for 3.6.0, on which many packages do not run."""
    return version if version.count(".") > 1 else f"{version}.99"


def secrets_of_uv() -> list[str]:
    """The names of the variables that uv needs itself, and that hold passwords or tokens."""
    return sorted(name for name, value in _variables().items() if _is_uvs(name) and is_secret(name, value))


def _is_uvs(name: str) -> bool:
    return name.startswith("UV_") or name.lower().endswith("_proxy")


@contextmanager
def _configured(settings: Settings, folder: Path, variables: dict[str, str]) -> Iterator[dict[str, str]]:
    """The variables with which uv reads ``settings``, beside the user's own configuration."""
    named, path = variables.get("UV_CONFIG_FILE"), folder / "uv.toml"
    if not settings or (named and not Path(named).is_file()):  # uv says that this one is missing
        yield variables
        return
    text = "".join(f"{name} = {_toml(value)}\n" for name, value in settings.items())
    if named or "UV_NO_CONFIG" in variables:  # then uv reads no other file
        text += Path(named).read_text(encoding="utf-8") if named else ""
        variables = {name: value for name, value in variables.items() if name != "UV_NO_CONFIG"}
        variables["UV_CONFIG_FILE"] = str(path)
    project = folder / "pyproject.toml"
    written = [path] if project.exists() else [path, project]
    try:
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)  # a copy of the user's file may have a password in it
        if project in written:  # without it, uv does not look for the other file
            project.write_text(project_of(()), encoding="utf-8")
        yield variables
    finally:
        for file in written:
            file.unlink(missing_ok=True)


def project_of(requirements: Iterable[str]) -> str:
    """A ``pyproject.toml`` with these dependencies."""
    lines = ["[project]", 'name = "environment"', 'version = "0"', f"dependencies = {_toml(list(requirements))}"]
    # Else uv looks for a workspace in the folders above, and takes its sources.
    return "\n".join([*lines, "[tool.uv.workspace]", ""])


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(name)} = {_toml(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value)  # texts are written alike


def set_sources(index: str | None = None, find_links: Iterable[Path] = (), offline: bool = False) -> None:
    """Sets uv's variables for the rest of this process. Values that are not given stay as the user has them.

    Variables and not arguments: everybody on a machine can read a program's arguments, and a URL may hold a password.
    Nothing of it is recorded; the hashes hold for every source. Raises ``ProvisionError`` if a folder is missing.
    """
    if index is not None:
        os.environ["UV_DEFAULT_INDEX"] = index
        for name in ("UV_INDEX_URL", "UV_NO_INDEX"):  # older and contrary ways to say it
            os.environ.pop(name, None)
    folders = [folder.expanduser().absolute() for folder in find_links]
    for folder in folders:
        if not folder.is_dir():
            raise ProvisionError(f"There is no folder {folder} to take packages from. Correct --find-links.")
    if folders:
        os.environ["UV_FIND_LINKS"] = ",".join(map(_listed, folders))
    if offline:
        os.environ["UV_OFFLINE"] = "1"


def _listed(folder: Path) -> str:
    """A folder in a list with commas between."""
    return folder.as_uri().replace(",", "%2C") if "," in str(folder) else str(folder)


def offline() -> bool:
    """Whether the user keeps uv, and with it everything here, off the network."""
    return _setting("connectivity") == "offline"


def forbidden() -> str | None:
    """Why no Python may be fetched that was not asked for, neither by uv nor from conda; ``None`` if one may."""
    if offline():
        return "the network is not to be used (--offline, UV_OFFLINE, or `offline` in uv.toml)"
    downloads = _setting("python_downloads")
    if downloads not in ("", "automatic"):
        return f"UV_PYTHON_DOWNLOADS, or `python-downloads` in uv.toml, says {downloads!r}"
    if _setting("python_preference") == "onlysystem":
        return (
            "only the system's are to be used (UV_PYTHON_PREFERENCE=only-system, UV_NO_MANAGED_PYTHON, or "
            "`python-preference` in uv.toml)"
        )
    return None


def check_settings() -> None:
    """Raises ``BuildFailed`` if the user's ``uv.toml`` would put packages elsewhere, or others.

    Its settings of indexes, the network and the cache hold.
    """
    shown = _settings()
    found = [name for name, pattern in _MISLEADING.items() if re.search(pattern, shown)]
    if found:
        raise BuildFailed(
            f"uv.toml says {', '.join(f'`{name}`' for name in found)}: with that, packages would not get into the "
            f"environment as they were verified, so it was not built and nothing was changed. Delete that setting, or "
            f"name another file with UV_CONFIG_FILE; then run the same command again."
        )


def _setting(name: str) -> str:
    """The value of a setting in lower case; empty if uv does not show it."""
    found = re.search(rf"\b{name}: (\w+)", _settings())
    return found[1].lower() if found else ""


def _settings() -> str:
    """uv's settings, from its variables and all its uv.toml; empty if it does not show them."""
    # Without certificates, which no setting here depends on: uv would read all of them, and show them
    variables = {name: value for name, value in _variables().items() if not name.startswith("SSL_CERT_")}
    return _shown(data_dir.existing(), tuple(sorted(variables.items())))


@functools.lru_cache(maxsize=4)
def _shown(folder: Path, variables: tuple[tuple[str, str], ...]) -> str:
    """uv's settings as it shows them for debugging: nothing else knows where its files are, and which one wins."""
    options = {"cwd": folder, "env": dict(variables), "stderr": subprocess.DEVNULL}
    try:
        command = [find_uv_bin(), "--show-settings", "pip", "install", "tensorflow"]
        with subprocesses.started(command, **options) as process:
            return process.communicate()[0]
    except OSError:
        return ""


def _variables() -> dict[str, str]:
    """The variables that uv is started with."""
    variables = {name: value for name, value in env_vars.cleaned(os.environ).items() if name not in _DECIDED}
    if variables.get("UV_LINK_MODE") == "symlink":  # `uv cache clean` would empty all environments
        del variables["UV_LINK_MODE"]
    return variables
