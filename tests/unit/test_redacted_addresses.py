"""Passwords and tokens in addresses: hidden in messages, left out of what is written, refused in requirements."""

from __future__ import annotations

import pytest

from tfprovisioner.errors import ProvisionError
from tfprovisioner.system import redact

SECRET = "pass-w0rd-4711"  # noqa: S105 (to be looked for)
USER = f"somebody:{SECRET}"
TOKEN = "a1B2c3D4e5F6g7H8"  # noqa: S105


def test_what_is_redacted() -> None:
    told = "Failed to fetch: `https://me:a@b@host:8/simple/x/?token=abc` through http://token@proxy/, see git@host"
    assert redact.redacted(told) == (
        "Failed to fetch: `https://****@host:8/****?****` through http://****@proxy/, see git@host"
    )
    for url, redacted in (
        ("https://host/TOKEN/simple/six/", "https://host/****"),
        ("https://host/TOKEN/six-1.0-py3-none-any.whl#sha256=12", "https://host/****/six-1.0-py3-none-any.whl"),
        ("https://github.com/astral-sh/uv/issues", "https://github.com/astral-sh/uv/issues"),
        ("https://conda.anaconda.org/t/TOKEN/mine/noarch", "https://conda.anaconda.org/t/****/mine/noarch"),
        ("file:///home/me/wheels", "file:///home/me/wheels"),
    ):
        assert redact.redacted(f"cause: {url}.") == f"cause: {redacted}."


def test_addresses_that_are_written_down() -> None:
    for url, public in (
        ("https://me:secret@host:8/t/TOKEN/mine?x=1", "https://host:8/mine"),
        ("https://host/a1B2c3D4e5F6g7H8/mine/linux-aarch64", "https://host/****/mine/linux-aarch64"),
        ("https://host/0b5c2f0e-3f6a-4a8e-9f57-5d1f2b6f8c11/mine", "https://host/****/mine"),
        ("https://host/ray/0123456789abcdef0123456789abcdef01234567/ray.whl", None),
        ("file:///home/me/a1B2c3D4e5F6g7H8", None),
        ("https://conda.anaconda.org/conda-forge", None),
    ):
        assert redact.public(url) == (public or url)


@pytest.mark.parametrize(
    "address",
    [
        f"https://{USER}@127.0.0.1/extra-1.0-py3-none-any.whl",
        f"https://127.0.0.1/extra-1.0-py3-none-any.whl?sig={SECRET}",
        f"https://127.0.0.1/{TOKEN}/extra-1.0-py3-none-any.whl",
    ],
)
def test_a_requirement_with_a_password_is_refused(address: str) -> None:
    with pytest.raises(ProvisionError, match=r"netrc") as caught:
        redact.refuse(["pandas<2", f"extra @ {address}"])
    assert SECRET not in str(caught.value)
    assert TOKEN not in str(caught.value)
    redact.refuse(["extra @ https://127.0.0.1/extra-1.0-py3-none-any.whl", "x @ git+ssh://git@host/x"])
    redact.refuse(["x @ git+file:///home/me/x@main#subdirectory=y", "y @ hg+file:///srv/y", "z @ file:///z.whl"])
