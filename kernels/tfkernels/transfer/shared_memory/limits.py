"""How much memory this process may use: the machine's, or its container's if that is less."""

import os
import typing

_UNLIMITED = 2**62

_KINDS = {
    "": ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    "memory": ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}
"""Of both versions of control groups: where they are, and the names of limit, usage, and of what the usage holds that
can be dropped."""


def total() -> int:
    """Bytes."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([physical] + [limit for limit, _ in _groups()])


def available() -> int:
    """Bytes that can still be had without ending anybody; a very large number where that cannot be known."""
    free = _fields("/proc/meminfo").get("MemAvailable:", _UNLIMITED // 1024) * 1024
    return min([free] + [room for _, room in _groups()])


def _groups() -> typing.Iterator[typing.Tuple[int, int]]:
    """Limit and room of the control groups that this process is in."""
    for folder, limit, usage, cache in _FILES:
        allowed, used = _number(f"{folder}/{limit}"), _number(f"{folder}/{usage}")
        if allowed is not None and used is not None and allowed < _UNLIMITED:
            yield allowed, max(0, allowed - used + _fields(f"{folder}/memory.stat").get(cache, 0))


def _lines(path: str) -> typing.List[str]:
    try:
        with open(path) as file:
            return file.readlines()
    except OSError:
        return []


def _number(path: str) -> typing.Optional[int]:
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].strip().isdigit() else None  # "max": no limit


def _fields(path: str) -> typing.Dict[str, int]:
    words = [line.split() for line in _lines(path)]
    return {word[0]: int(word[1]) for word in words if len(word) > 1 and word[1].isdigit()}


def _files() -> typing.Iterator[typing.Tuple[str, str, str, str]]:
    """Folder and file names of each group that this process is in, and of those above it; in a container, the roots."""
    for line in ["0::/", "0:memory:/", *_lines("/proc/self/cgroup")]:
        _, kinds, path = line.strip().split(":", 2)
        parts = [part for part in path.split("/") if part]
        for kind in set(kinds.split(",")) & set(_KINDS):
            root, limit, usage, cache = _KINDS[kind]
            for depth in range(len(parts) + 1):
                yield "/".join([root, *parts[:depth]]), limit, usage, cache


_FILES = sorted(set(_files()))
"""As it was at the start: a process is hardly ever moved."""
