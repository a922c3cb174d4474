"""The command ``tfkernels`` as people and programs read it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tfprovisioner.environments import store
from tfprovisioner.kernelspecs.install import Installed


def tfkernels(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tfprovisioner", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_list_releases_and_doctor_as_json(installed: object) -> None:
    rows = {row["name"]: row for row in json.loads(tfkernels("list", "--json").stdout)}
    assert rows["tf1"]["tensorflow"] == "1.15.5"
    assert rows["tf1"]["python"].startswith("3.7.")
    assert rows["tf2"]["state"] == "ok"
    assert rows["tf2"]["size"] > 10**8
    assert rows["tf2"]["backend"] == "uv"

    releases = json.loads(tfkernels("releases", "--json").stdout)
    assert [row["line"] for row in releases] == [
        *(f"2.{n}" for n in range(21, -1, -1)),
        *(f"1.{n}" for n in range(15, -1, -1)),
    ]
    usual = {row["release"]: row for row in releases if row["release"] in ("2.21.0", "1.15.5")}
    assert all(row["available"] for row in usual.values())
    assert "1.15.0" in usual["1.15.5"]["patches"]
    assert usual["1.15.5"]["tried_on"][0] == "3.7"

    done = tfkernels("doctor", "--json")
    assert done.returncode == 0
    assert {row["name"]: row["findings"]["tensorflow"] for row in json.loads(done.stdout)}["tf2"] == "2.21.0"


def test_tables(installed: object) -> None:
    assert "1.15.5" in tfkernels("list").stdout
    assert "3.7" in tfkernels("releases").stdout


def test_commands_skip_the_slowest_import() -> None:
    """The parser of ``rfc3987_syntax``."""
    use = "import sys, tfprovisioner.cli.app, nbformat; nbformat.validate(nbformat.v4.new_notebook())"
    code = f"{use}; assert 'lark' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_second_install_builds_nothing(installed: object) -> None:
    done = tfkernels("install")
    assert done.returncode == 0
    assert done.stdout.count(": already there. ") == 2
    assert done.stdout.count(f", environment: {store.root()}") == 2
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["install", "1.99"], "Did you mean"),
        (["install", "tf1", "nonsense"], "no TensorFlow release 'nonsense'"),
        (["install", "tf1", "tf2", "--name", "x"], "--name needs exactly one release"),
        (["install", "tf1", "--name", "With Blank"], "letters, digits"),
        (["doctor", "tf11"], "Did you mean"),
        (["remove", "tf1", "nothing"], "no kernel 'nothing'"),
        (
            ["demo", "--output", "/dev/null/x"],
            "cannot be written: Not a directory. Choose another folder with --output",
        ),
    ],
)
def test_bad_input_gets_an_answer(installed: dict[str, Installed], arguments: list[str], expected: str) -> None:
    done = tfkernels(*arguments)
    assert done.returncode != 0
    assert expected in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert all((one.kernelspec / "kernel.json").exists() for one in installed.values()), "and nothing was removed"


@pytest.mark.parametrize("command", ["install", "list", "releases", "doctor", "remove", "demo"])
def test_every_option_has_a_help_text(command: str) -> None:
    import typer.main

    from tfprovisioner.cli.app import app

    found = typer.main.get_group(app).commands[command]
    assert found.help
    for parameter in found.params:
        assert getattr(parameter, "help", None), parameter.name
