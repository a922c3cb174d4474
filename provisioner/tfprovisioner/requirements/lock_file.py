"""Lock files: every package of an environment, pinned and hashed, as text that people, pip and uv read.

A lock is data from elsewhere. Each line is a name, a version, perhaps a marker, and hashes; others are refused.
"""

import functools
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import InvalidMarker, Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

import tfkernels
from tfprovisioner.catalogue import locks, releases, verified
from tfprovisioner.catalogue.releases import PARTS, TENSORFLOWS
from tfprovisioner.errors import BadLock
from tfprovisioner.gpu import cuda
from tfprovisioner.system.redact import redacted

MAX_BYTES = 4_000_000
"""Of a lock's text; the largest one of the catalogue has 0.3 MB."""

_PIN = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?)==(?P<version>[A-Za-z0-9.!+_-]{1,100})"
    r"(?:\s*;\s*(?P<marker>[\w\s.<>=!'\"()-]{1,2000}?))?(?P<hashes>(?:\s+--hash=sha256:[0-9a-f]{64})+)"
)
_FACT = re.compile(r"#\s*(python|platform|kernel): (\S{1,100})\s*")
_MINOR = re.compile(r"3\.\d{1,2}")


@dataclass(frozen=True)
class Lock:
    """Exactly which files are installed, for one release of TensorFlow on one Python."""

    pins: tuple[str, ...]
    """``name==version ; marker``, sorted."""
    hashes: Mapping[str, tuple[str, ...]]
    """SHA-256 of the files that a pin allows, by ``name==version``."""
    python: str
    """Minor version, ``3.7``."""
    platform: str
    """The machine that it was made on, as ``releases.platform_name`` says."""
    kernel: str = ""
    """The name of the kernel that it was taken from."""

    @functools.cached_property
    def text(self) -> str:
        """As a file of requirements, without a heading. Equal for equal locks."""
        return locks.joined(self.pins, self.hashes)

    @functools.cached_property
    def tensorflow(self) -> Requirement:
        """The pinned distribution of TensorFlow."""
        held: dict[str, Requirement] = {canonicalize_name(one.name): one for one in map(Requirement, self.chosen)}
        return next(held[name] for name in TENSORFLOWS if name in held)

    @property
    def release(self) -> str:
        """The release of TensorFlow: ``1.15.5``."""
        return str(self.tensorflow.specifier).removeprefix("==")

    @property
    def gpu(self) -> bool:
        """Whether it has CUDA's libraries."""
        return any(pin.startswith(("nvidia-cublas-", "nvidia-cuda-runtime-")) for pin in self.chosen)

    @functools.cached_property
    def chosen(self) -> list[str]:
        """The pins for its Python and platform, as ``name==version``."""
        return locks.chosen(self.text, self.python, self.platform)

    @property
    def fingerprint(self) -> str:
        """Equal for locks that install the same versions on their Python and platform."""
        return verified.fingerprint([f"python {self.python} {self.platform}", *self.chosen])

    @functools.cached_property
    def verified(self) -> "Lock | None":
        """The catalogue's lock for the same release, Python and platform; ``None`` if it has none."""
        return of_release(self.release, self.python, self.platform, self.gpu)

    @property
    def is_verified(self) -> bool:
        """Whether it is the catalogue's, which holds for every platform and Python of the release."""
        return self.verified is not None and self.text == self.verified.text

    @property
    def beyond_verified(self) -> list[str]:
        """The pins that differ from the catalogue's, or are not in it."""
        known = frozenset(self.verified.chosen if self.verified else ())
        return [pin for pin in self.chosen if pin not in known]

    @classmethod
    def of(cls, text: str, python: str, platform: str, kernel: str = "") -> "Lock":
        """The lock of a text that tfkernels or uv wrote, such as that in an environment."""
        pins, hashes = locks.split(text)
        return cls(
            tuple(sorted(pins)), {pin: tuple(sorted(of)) for pin, of in hashes.items()}, python, platform, kernel
        )

    def file(self) -> str:
        """The text of a file: a heading that says how to use it, and the pins."""
        facts = {"python": self.python, "platform": self.platform, "kernel": self.kernel}
        count, tool = len(self.chosen), f"tfkernels {tfkernels.__version__}"
        heading = [
            f"TensorFlow {self.release} ({self.tensorflow.name}) with {count} packages, by {tool}",
            "",
            *(f"{name}: {value}" for name, value in facts.items() if value),
            "",
            "Make a kernel of it:  tfkernels install --lock FILE",
            f"Without tfkernels:    uv venv --python {self.python} ENV",
            "                      uv pip install --python ENV --no-deps --require-hashes --requirements FILE",
            "",
        ]
        return "".join(f"# {line}".rstrip() + "\n" for line in heading) + self.text


def of_release(release: str, python: str, platform: str, gpu: bool, kernel: str = "") -> Lock | None:
    """The catalogue's lock of a release (``1.15.5``); ``None`` if it has none."""
    known = releases.find(release)
    text = cuda.lock(known) if gpu else known.lock
    return None if text is None else Lock.of(text, python, platform, kernel)


def read(path: Path) -> str:
    """The text of a lock file. Raises ``BadLock``."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise BadLock(f"{path} is not a lock: it has more than {MAX_BYTES / 1e6:.0f} MB. {_ADVICE}")
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadLock(f"{path} is not a lock: it is not text ({error.reason}). {_ADVICE}") from error
    except OSError as error:
        raise BadLock(f"The lock {path} cannot be read: {error.strerror}. Name another file: --lock FILE") from error


_ADVICE = "Make one with: tfkernels lock KERNEL > FILE"


def parsed(text: str, source: str, python: str | None = None) -> Lock:
    """The lock in a text from anywhere; ``source`` says where it is from.

    A text without our heading is for ``python``, or for the first Python of its release, on this machine.
    Raises ``BadLock``.
    """
    facts = {fact[1]: fact[2] for line in text.splitlines() if (fact := _FACT.fullmatch(line))}
    platform = facts.get("platform", releases.platform_name())
    minor = facts.get("python") or python
    if minor is not None and not _MINOR.fullmatch(minor):
        raise BadLock(f"{source} is not a lock: {minor[:20]!r} is not a Python version like 3.10. {_ADVICE}")
    if platform not in locks.MACHINES:
        raise BadLock(f"{source} is for {platform[:40]!r}, a machine that TensorFlow has no wheels for. {_ADVICE}")
    pins, hashes = dict[str, None](), dict[str, tuple[str, ...]]()
    for number, line in _lines(text):
        pin, digests = _pinned(line, f"{source} is not a lock: line {number}")
        pins[pin] = None
        name = pin.partition(" ;")[0]
        hashes[name] = tuple(sorted({*hashes.get(name, ()), *digests}))
    kernel = facts.get("kernel", "")
    found = Lock(tuple(sorted(pins)), hashes, minor or "3", platform, kernel)
    if minor is None:
        found = Lock(found.pins, hashes, _first_python(found, source), platform, kernel)
    return _checked(found, source)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines, each with its number and joined with those that a backslash at its end continues it by."""
    parts: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not parts and (not line.strip() or line.startswith("#")):
            continue
        continued = line.rstrip().endswith("\\")
        parts.append(line.strip().removesuffix("\\").strip())
        if not continued:
            yield number - len(parts) + 1, " ".join(parts)
            parts = []
    if parts:
        yield len(text.splitlines()) - len(parts) + 1, " ".join(parts)


def _pinned(line: str, problem: str) -> tuple[str, list[str]]:
    """A pin as ``name==version ; marker``, and its hashes."""
    line = " ".join(line.split())  # with long spaces, the pattern would take hours
    found = _PIN.fullmatch(line)
    shown = redacted(re.sub(r"\s--hash=.*", "", line))[:80]
    if found is None:
        raise BadLock(f"{problem} is not name==version with --hash=sha256:… ({shown!r}). {_ADVICE}")
    pin = f"{canonicalize_name(found['name'])}=={found['version']}"
    try:
        Version(found["version"])
        if found["marker"]:
            Marker(found["marker"]).evaluate(locks.machine("3.7", "linux-x86_64"))
            pin += f" ; {found['marker']}"
    except (InvalidVersion, InvalidMarker, UndefinedComparison, UndefinedEnvironmentName, RecursionError) as error:
        raise BadLock(f"{problem} has an invalid version or marker ({shown!r}). {_ADVICE}") from error
    return pin, re.findall(r"sha256:([0-9a-f]{64})", found["hashes"])


def _first_python(lock: Lock, source: str) -> str:
    """The preferred Python of a lock's release."""
    named = next((pin for name in TENSORFLOWS for pin in lock.pins if pin.startswith(f"{name}==")), None)
    if named is None:
        raise BadLock(f"{source} is not a lock of a kernel: it has no TensorFlow. {_ADVICE}")
    return releases.find(named.partition("==")[2].partition(" ;")[0]).pythons[0]


def _checked(lock: Lock, source: str) -> Lock:
    """Raises ``BadLock`` if a lock is not for one known release, or lacks what a kernel needs, or is for elsewhere."""
    names = [pin.partition("==")[0] for pin in lock.chosen]
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise BadLock(f"{source} is not a lock: it has two versions of {twice}. {_ADVICE}")
    whole = sorted({*names} & {*TENSORFLOWS} - PARTS)
    if len(whole) > 1:
        raise BadLock(f"{source} is not a lock: it has both {whole[0]} and {whole[1]}, with the same files. {_ADVICE}")
    if not whole or "ipykernel" not in names:
        missing = "ipykernel" if whole else "TensorFlow"
        raise BadLock(f"{source} is not a lock of a kernel: it has no {missing} for Python {lock.python}. {_ADVICE}")
    release = releases.find(lock.release)
    if lock.python not in release.pythons:
        raise BadLock(
            f"{source} is for Python {lock.python}, and TensorFlow {release.version} has wheels for "
            f"{', '.join(release.pythons)} only. {_ADVICE}"
        )
    here = releases.platform_name()
    if lock.platform != here and not lock.is_verified:
        raise BadLock(
            f"{source} was made on {lock.platform}, and its packages may be others on {here}. Let tfkernels choose "
            f"them here: tfkernels install {release.version}"
        )
    return lock
