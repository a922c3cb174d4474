"""Logs of failed builds, as uv shows them: the package, the last lines, and what the machine lacks."""

import re

_END = 40
"""Lines at the end of a log in which the cause is looked for: before it, setup code tries what may be missing."""

_FAILED = re.compile(r"Failed\s+to\s+(?:download\s+and\s+)?build\s+`([\w.-]+)(?:==([^`\s]+))?[^`]*`")
_TOOLS_FAILED = re.compile(r"Failed\s+to\s+(resolve|install)\s+requirements")

_COMPILER = r"([\w./+-]*(?:gcc|g\+\+|cc|c\+\+|clang|clang\+\+|gfortran)(?:-\d+)?)(?![\w+])"
_PROGRAM = r"([\w+-]*[_-]config|cmake|swig|ninja|make|cargo|rustc|nvcc|mpicxx|mpicc|git|bazel|autoconf)"
_MISSING = {
    # a pattern in the log of a build: what the machine lacks, and what helps
    rf"command '?{_COMPILER}'? failed: (?:No such file|None)|execute '?{_COMPILER}|directory: '{_COMPILER}'": (
        "the compiler {} is missing. Install it (Debian and Ubuntu: apt install build-essential)"
    ),
    r"fatal error: (Python\.h): No such file": (
        "the header {} is missing: this Python came without its headers. Take another one with --python, or install "
        "them (Debian and Ubuntu: apt install python3-dev)"
    ),
    r"fatal error: '?([\w./+-]+\.h\w*)'?(?:: No such file| file not found)": (
        "the header {} is missing. Install the development package of the library that it belongs to"
    ),
    r"cannot find -l([\w.+-]+)": "the system library {} is missing. Install its development package",
    rf"(?:directory: '{_PROGRAM}'|\b{_PROGRAM}: (?:command )?not found|\b{_PROGRAM} not found)": (
        "the program {} is missing. Install the system's package that has it"
    ),
}


def failed_package(output: str) -> tuple[str, str]:
    """The name and the version of the package whose build failed, each empty if uv does not say it."""
    found = _FAILED.search(output)
    return (found[1], found[2] or "") if found else ("", "")


def tools_failed(output: str) -> bool:
    """Whether the tools of a build could not be installed."""
    return _TOOLS_FAILED.search(output) is not None


def machine_lacks(words: str) -> str | None:
    """What the machine lacks according to the log of a build, and what helps."""
    for pattern, advice in _MISSING.items():
        found = re.search(pattern, words)
        if found:
            return advice.format(next(filter(None, found.groups())))
    return None


def cause(log: list[str]) -> str:
    """Why a build failed whose log ends like this."""
    no_log = "its build tools could not be installed"
    return machine_lacks(" ".join(log)) or ("its setup code failed" if log else no_log)


def last_lines(output: str) -> list[str]:
    """The end of the log of a failed build; no lines if its setup code did not run, or said nothing."""
    if not re.search(r"Call\s+to\s+`[^`]+`\s+failed", output):
        return []
    log = re.split(r"^\s*\[std(?:out|err)\]\s*$", output, maxsplit=1, flags=re.MULTILINE)[1:]
    said = [line.strip() for text in log for line in text.splitlines()]
    end = next((number for number, line in enumerate(said) if line.startswith("hint: ")), len(said))
    return [line for line in said[:end] if line and not re.fullmatch(r"\[std(out|err)\]", line)][-_END:]
