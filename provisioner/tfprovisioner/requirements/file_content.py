"""What a file of requirements asks for, each line with its place, and the text of a file in any encoding."""

import codecs
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tfprovisioner.errors import BadRequirement

_LARGEST = 5_000_000  # bytes; a notebook or a wheel named by mistake is larger

_MARKS = (
    # UTF-32's begins as UTF-16's does
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class Line(NamedTuple):
    """One requirement of a file."""

    text: str
    """As ``--with`` takes it; after ``-c`` it only limits versions."""
    place: str
    """The file and the number of the line, ``requirements.txt:3``."""

    def __str__(self) -> str:
        return f"{self.text!r} ({self.place})"


@dataclass
class Content:
    """What files of requirements ask for."""

    requirements: list[Line] = field(default_factory=list)
    pythons: list[Line] = field(default_factory=list)
    """Versions of Python, as specifiers, ``>=3.6,<3.8``; alternatives have ``||`` between them."""
    notes: list[str] = field(default_factory=list)
    """The parts that are not taken, each with the reason and what helps."""

    @property
    def lines(self) -> tuple[str, ...]:
        """The requirements without their places, each once."""
        return tuple(dict.fromkeys(line.text for line in self.requirements))

    def leave_out(self, words: str, place: str, reason: str) -> None:
        """Notes a part that is not taken."""
        self.notes.append(f"{place}: left out {words}: {reason}")


def text_of(path: Path) -> str:
    """The text of a file: with a byte order mark, in UTF-8, or else in Latin-1. Raises ``BadRequirement``."""
    try:
        if path.stat().st_size > _LARGEST:
            raise BadRequirement(f"The file {path} cannot be read: it is larger than 5 MB. Correct its path.")
        content = path.read_bytes()
    except OSError as error:
        raise BadRequirement(f"The file {path} cannot be read: {error.strerror}. Correct its path.") from error
    marked = next((encoding for mark, encoding in _MARKS if content.startswith(mark)), "utf-8-sig")
    try:
        text = content.decode(marked)
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    line = text.count("\n", 0, text.find("\0")) + 1
    if "\0" in text:
        raise BadRequirement(f"The file {path} cannot be read: line {line} is not text. Correct its path.")
    return text
