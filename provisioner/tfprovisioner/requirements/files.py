"""Files of requirements: ``--requirements``."""

import re
from pathlib import Path
from typing import NoReturn

from tfprovisioner.errors import BadRequirement
from tfprovisioner.requirements.lines import HASH, LIMIT, checked
from tfprovisioner.system.redact import redacted


def read(path: Path) -> tuple[str, ...]:
    """The requirements in a file and in those that it includes, as pip reads them.

    Lines of a file of constraints begin with ``-c``. Raises ``BadRequirement``.
    """
    # Only for this: it takes as long as the start of a command
    from pip_requirements_parser import InstallationError, RequirementsFile

    if path.suffix in (".yml", ".yaml", ".toml"):
        raise BadRequirement(f"{path} is not a requirement file as pip reads it. Name its packages with --with.")
    try:
        found = RequirementsFile.from_file(str(path), include_nested=True)
    except (InstallationError, OSError, UnicodeDecodeError) as error:
        cause = redacted(str(error.__context__ or error))
        raise BadRequirement(f"The file {path} cannot be read: {cause}. Correct it or its path.") from error
    for option in found.options:
        if not option.options:  # a word after a dash
            checked(option.line)
        if option.options.keys() - {"requirements", "constraints"}:
            _refuse(option.filename, option.line)
    for bad in found.invalid_lines:
        if not bad.line.startswith("-"):
            checked(bad.line)  # has the better message
        cause = redacted(f"The line {bad.line!r} in {bad.filename} cannot be used: {bad.error_message}")
        raise BadRequirement(f"{cause}. Correct it.")
    lines = []
    for one in found.requirements:
        text, *options = one.line.split(" --")
        others = [f"--{option}" for option in options if not option.startswith("hash")]
        if one.is_editable or others:
            _refuse(one.filename, (others or [one.line])[0])
        prefix = LIMIT if one.is_constraint else ""
        lines.append(checked("".join([prefix, text.strip(), *(f"{HASH}{digest}" for digest in one.hash_options)])))
    return tuple(dict.fromkeys(lines))


def _refuse(path: str, line: str) -> NoReturn:
    words = re.findall(r"(?:^|\s)(-[\w-]*)", line)  # without their values, which may be passwords
    option = next(word for word in words if word not in ("-r", "--requirement", "-c", "--constraint"))
    raise BadRequirement(
        f"{path} has {option!r}, and only packages are taken from requirement files. Delete it. Choose an index with "
        f"--index or UV_DEFAULT_INDEX. To build from a folder, use a cell in the kernel: !pip install …"
    )
