"""Notes that TensorFlow and ipykernel print at each start. Kernels leave them out, unless ``TFKERNELS_VERBOSE`` is set.

``TF_CPP_MIN_LOG_LEVEL`` is 1 in kernels, so that TensorFlow's C++ log has its warnings and errors only. Newer releases
print some notes before they read that variable. A kernel drops these lines.
"""

import logging
import re
import typing

VERBOSE = "TFKERNELS_VERBOSE"
LEVEL = "TF_CPP_MIN_LOG_LEVEL"
DEFAULT_LEVEL = "1"

_NOTE = re.compile(
    rb"^(?:WARNING: All log messages before absl::InitializeLog\(\) is called are written to STDERR"
    rb"|I0000 \d\d:\d\d:\d+\.\d+ +\d+ \S+:\d+\] .*)\n",
    re.MULTILINE,
)
_UNENCRYPTED = "Kernel is running over TCP without encryption"


def dropped(variables: typing.Mapping[str, str]) -> bool:
    """Whether a kernel with these variables leaves the notes out."""
    return not variables.get(VERBOSE) and variables.get(LEVEL, DEFAULT_LEVEL) != "0"


def without(content: bytes) -> bytes:
    """What a kernel wrote to standard error without TensorFlow's notes. TensorFlow writes a line at once."""
    return _NOTE.sub(b"", content)


def only(content: bytes) -> bytes:
    """The notes that ``without`` leaves out."""
    return b"".join(_NOTE.findall(content))


def is_warning(record: logging.LogRecord) -> bool:
    """A filter for ipykernel's log: on the loopback interface only root can read along, so this is no warning."""
    return not str(record.msg).startswith(_UNENCRYPTED)
