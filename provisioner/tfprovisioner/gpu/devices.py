"""The GPUs of this machine, and whether a CUDA version can work on them."""

import functools
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from packaging.specifiers import SpecifierSet

from tfprovisioner.errors import NoGPU

TIMEOUT = 20.0
"""Seconds. Without the persistence mode a driver starts anew for each question."""

CUDA = {
    # By version: the oldest driver for Linux, from the release notes (11 and 12 work with that of their first release),
    # and the compute capabilities that its libraries have code for: from, and up to and with this major number.
    "8": ((375, 26), (2, 0), 6),
    "9": ((384, 81), (3, 0), 7),
    "10.0": ((410, 48), (3, 0), 7),
    "10": ((418, 39), (3, 0), 7),
    "11.8": ((450, 80, 2), (3, 5), 9),
    "11": ((450, 80, 2), (3, 5), 8),
    "12.8": ((525, 60, 13), (5, 0), 12),
    "12.9": ((525, 60, 13), (5, 0), 12),
    "12": ((525, 60, 13), (5, 0), 9),
}

WHEELS = SpecifierSet(">=2.17")
WHEELS_FROM = (6, 0)
"""The first compute capability that these releases' wheels have code for. See docs/design/gpu.md for the source."""


@dataclass(frozen=True)
class Card:
    """One GPU, as the driver describes it."""

    index: int
    name: str
    driver: str
    capability: tuple[int, int] | None
    """Compute capability; ``None`` if the driver is too old to tell."""
    uuid: str = ""
    """``GPU-8a56a4bc-…``."""


@functools.cache
def present() -> tuple[Card, ...]:
    """The GPUs that NVIDIA's driver knows; none without a driver."""
    program = shutil.which("nvidia-smi") or "/usr/lib/wsl/lib/nvidia-smi"
    for fields in ("index,name,driver_version,uuid,compute_cap", "index,name,driver_version,uuid"):
        try:
            done = subprocess.run(
                [program, f"--query-gpu={fields}", "--format=csv,noheader"],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=TIMEOUT, check=True,
            )  # fmt: skip
            return read(done.stdout)
        except (OSError, subprocess.SubprocessError):
            continue
    return ()


def read(table: str) -> tuple[Card, ...]:
    """The lines of ``nvidia-smi --query-gpu=index,name,driver_version,uuid,compute_cap --format=csv,noheader``."""
    cards = []
    for line in table.splitlines():
        index, name, driver, uuid, capability, *_ = [part.strip() for part in line.split(",")] + [""] * 4
        if index.isdigit():
            found = re.fullmatch(r"(\d+)\.(\d+)", capability)
            numbers = (int(found[1]), int(found[2])) if found else None
            cards.append(Card(int(index), name, driver, numbers, uuid if uuid.startswith("GPU-") else ""))
    return tuple(cards)


def objection(card: Card, cuda: str, wheels_of: str | None = None) -> str | None:
    """Why a CUDA version (``11.8``), or TensorFlow's wheels of a release, cannot work on a card, or ``None``."""
    driver, first, last = _limits(cuda)
    if tuple(int(part) for part in re.findall(r"\d+", card.driver)) < driver:
        needed = ".".join(f"{number:02d}" if place else str(number) for place, number in enumerate(driver))
        return f"its driver {card.driver} is too old for CUDA {cuda}, which needs {needed} or newer"
    if card.capability is None:
        return None
    shown = f"its compute capability is {'.'.join(map(str, card.capability))}, and"
    if card.capability < first:
        return f"{shown} CUDA {cuda} needs {'.'.join(map(str, first))} or more"
    if wheels_of and card.capability < WHEELS_FROM and WHEELS.contains(wheels_of, prereleases=True):
        return f"{shown} TensorFlow {wheels_of} was made for {'.'.join(map(str, WHEELS_FROM))} or more"
    if card.capability[0] > last and int(cuda.split(".")[0]) < 11:
        return f"{shown} CUDA {cuda} was made for cards up to {last}.x"
    return None


def caution(card: Card, cuda: str) -> str | None:
    """A warning for a card that is newer than its CUDA, or ``None``."""
    *_, last = _limits(cuda)
    if card.capability is not None and card.capability[0] > last and objection(card, cuda) is None:
        return f"{card.name} is newer than CUDA {cuda}: the first use of each operation may take minutes, or fail"
    return None


def _limits(cuda: str) -> tuple[tuple[int, ...], tuple[int, int], int]:
    return CUDA.get(cuda) or CUDA.get(cuda.split(".")[0]) or CUDA["12"]


def check(cards: Sequence[Card], cuda: str, release: str, devices: str | None = None, wheels: bool = True) -> list[str]:
    """Warnings before a kernel is made for these cards, or for those of them that are in ``devices`` (``0,1``).

    ``wheels``: TensorFlow itself is from its wheels. Raises ``NoGPU`` if none of the cards can work.
    """
    if not cards:
        return [f"no NVIDIA driver answers here, so nobody knows whether CUDA {cuda} will work where the kernel runs"]
    chosen = _chosen(cards, devices)
    objections = {card: objection(card, cuda, release if wheels else None) for card in chosen}
    warnings = [f"{card.name}: {reason}" for card, reason in objections.items() if reason]
    if len(warnings) == len(chosen):
        raise NoGPU(
            f"TensorFlow {release} runs with CUDA {cuda}, which does not work on any GPU of this machine. "
            f"{'; '.join(warnings)}. Update the driver, take another release, or omit --gpu."
        )
    return warnings + [text for card in chosen if (text := caution(card, cuda))]


def _chosen(cards: Sequence[Card], devices: str | None) -> list[Card]:
    """The cards that ``--devices`` names: by number, or by the unambiguous beginning of an id, as CUDA does.

    All cards, for names that cannot be looked up: parts of a card (MIG-…), or a driver that reports no ids.
    """
    names = [] if devices in (None, "all", "none") else str(devices).split(",")
    if not names or any(name.startswith("MIG-") or (name[0] == "G" and not cards[0].uuid) for name in names):
        return list(cards)
    found = [
        [card for card in cards if name == str(card.index) or card.uuid.lower().startswith(name.lower())]
        for name in names
    ]
    chosen = list(dict.fromkeys(matching[0] for matching in found if len(matching) == 1))
    if len(chosen) < len(names):
        ids = f" ({', '.join(card.uuid for card in cards)})" if "GPU-" in str(devices) else ""
        raise NoGPU(
            f"There are {len(cards)} GPUs here, 0 to {len(cards) - 1}{ids}, and not all of --devices {devices}."
        )
    return chosen


def check_devices(devices: str) -> None:
    """Raises ``NoGPU`` for a wrong value of ``--devices``."""
    one = r"\d+|GPU-[0-9a-fA-F-]+|MIG-[0-9A-Za-z/-]+"
    if devices not in ("all", "none") and not all(re.fullmatch(one, name) for name in devices.split(",")):
        raise NoGPU(
            f"--devices {devices!r} names no GPUs. Give their numbers, 0,1, or their ids, GPU-…, or all, or none."
        )
