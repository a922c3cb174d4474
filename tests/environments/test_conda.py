"""Environments from conda channels: real packages, made here, from a folder or from a server on loopback."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from uv import find_uv_bin

from tests.support import channels, package_index
from tests.support.channels import Package, Server, order
from tests.support.commands import nothing_is_there
from tfkernels.client.kernel import Kernel
from tfprovisioner.catalogue import releases
from tfprovisioner.conda import solve as prefixes
from tfprovisioner.conda.channels import PackageRequest
from tfprovisioner.errors import BuildFailed, NoWheels, PackageNotInChannels
from tfprovisioner.kernelspecs import doctor, install, plan
from tfprovisioner.progress import Reporter
from tfprovisioner.pythons import find
from tfprovisioner.requirements.request import InstallRequest
from tfprovisioner.resolution.conflicts.explain import Conflicts


class Recorder(Reporter):
    def __init__(self) -> None:
        super().__init__("test")
        self.sizes: list[tuple[int, int | None]] = []

    def fetched(self, size: int, total: int | None = None) -> None:
        self.sizes.append((size, total))


def test_conda_environment_is_active_in_its_kernel(
    server: Server, place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    done = install.install(order(server.url))
    prefix = done.environment.folder
    assert done.built
    assert done.environment.python_version == find.ask(prefix / "bin" / "python").version
    assert re.search(r"fetching and linking \d conda packages", capfd.readouterr().err)

    explicit = (prefix / prefixes.EXPLICIT).read_text().splitlines()
    assert explicit[0] == "@EXPLICIT"
    index = json.loads((place / "served" / channels.subdir() / "repodata.json").read_text())["packages"]
    expected = {f"{server.url}/{channels.subdir()}/{file}#{entry['sha256']}" for file, entry in index.items()}
    assert set(explicit[1:]) == expected

    with Kernel("tf1") as kernel:
        kernel.run("import os, sys, shutil, subprocess")
        assert kernel["sys.prefix"] == str(prefix)
        assert (
            kernel["[part for part in sys.path if 'site-packages' in part and not part.startswith(sys.prefix)]"] == []
        )
        variables = kernel["dict(os.environ)"]
        assert variables["CONDA_PREFIX"] == variables["CONDA_DEFAULT_ENV"] == str(prefix)
        assert variables["FROM_A_HOOK"] == f"{prefix} costs $5"
        assert variables["LD_LIBRARY_PATH"] == f"{prefix}/special"
        assert variables["PATH"].split(":")[:2] == [str(prefix / "bin"), str(prefix / "tools")]
        assert kernel["shutil.which('python')"] == str(prefix / "bin" / "python")
        assert kernel["subprocess.check_output('where').decode().strip()"] == str(prefix)
        # What is this environment's is not handed on to the kernels that it starts.
        kernel.run("from tfkernels import env_vars as environ; handed_on = environ.cleaned(environ.AT_START)")
        assert not {"CONDA_PREFIX", "FROM_A_HOOK", "LD_LIBRARY_PATH"} & set(kernel["handed_on"])

    for again in (order(server.url), InstallRequest("tf1", user=True)):
        assert install.install(again).built is False, "and plain `tfkernels install tf1` leaves it as it was made"
    assert install.install(again).choices == ("--backend conda", f"--channel {server.url}")
    assert install.remove("tf1") == [install.Removed((done.kernelspec,), prefix)]


def test_progress_is_told_in_bytes(server: Server, place: Path) -> None:
    recorder = Recorder()
    prefixes.install(place / "prefix", PackageRequest((server.url,), ("python=3.7", "ipykernel")), recorder)
    (first, total), *rest = recorder.sizes
    assert first == 0
    assert total == sum(record["size"] for record in prefixes.records(place / "prefix"))
    assert rest
    assert 0 < rest[-1][0] <= (total or 0)


@pytest.mark.parametrize("path", ["t/to-ken-4711", "a1B2c3D4e5F6g7H8"])
def test_channel_secrets_are_never_written(
    server: Server, place: Path, capfd: pytest.CaptureFixture[str], path: str
) -> None:
    channel = place / "served" / path / "mine"
    channel.mkdir(parents=True)
    for subdir in (channels.subdir(), "noarch"):
        (channel / subdir).symlink_to(place / "served" / subdir)
    url = server.url.replace("://", "://me:s3cret@") + f"/{path}/mine"
    done = install.install(order(url))
    secrets = [b"s3cret", path.rpartition("/")[2].encode()]
    files = [file for folder in ("home", "jupyter") for file in (place / folder).rglob("*") if file.is_file()]
    assert done.kernelspec / "kernel.json" in files
    assert [file for file in files if any(secret in file.read_bytes() for secret in secrets)] == []
    said = "".join(capfd.readouterr())
    assert not any(secret.decode() in said for secret in secrets)


def test_offline_takes_what_is_in_the_cache(server: Server, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    with pytest.raises(BuildFailed, match=r"the network may not be used \(--offline.*Omit --offline"):
        install.install(order(server.url))
    assert nothing_is_there(place)
    assert server.requests == []

    wanted = PackageRequest((server.url,), ("python=3.7",))
    monkeypatch.delenv("UV_OFFLINE")
    prefixes.install(place / "first", wanted, Reporter("first"))
    seen = len(server.requests)
    monkeypatch.setenv("UV_OFFLINE", "1")
    prefixes.install(place / "second", wanted, Reporter("second"))
    assert (place / "second" / "bin" / "python").exists()
    assert len(server.requests) == seen


def test_a_channels_private_authority_is_named(server: Server, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority, certificate = package_index.certified(place)
    package_index.encrypt(server, certificate)
    channel = server.url.replace("http:", "https:")
    with pytest.raises(BuildFailed, match=r"a certificate of an authority that is not known here\. .* SSL_CERT_FILE"):
        install.install(order(channel))
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    prefixes.install(place / "prefix", PackageRequest((channel,), ("python=3.7",)), Reporter("prefix"))


def test_gpu_packages_are_taken_on_request(server: Server, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Package("for_gpu", "1.0", ("__cuda >=12",)).write(place / "served")
    wanted = PackageRequest((server.url,), ("for_gpu",))
    monkeypatch.setenv("CONDA_OVERRIDE_CUDA", "")
    with pytest.raises(BuildFailed, match="__cuda"):
        prefixes.install(place / "without", wanted, Reporter("without"))
    monkeypatch.setenv("CONDA_OVERRIDE_CUDA", "12.4")
    prefixes.install(place / "with", wanted, Reporter("with"))
    assert [record["name"] for record in prefixes.records(place / "with")] == ["for_gpu"]


def test_unverified_conda_packages_are_the_last_choice(server: Server, place: Path) -> None:
    Package("numpy", "2.0.0", ("python 3.7.*",)).write(place / "served")
    done = install.install(order(server.url))
    assert "numpy-1.18.5" in (done.environment.folder / prefixes.EXPLICIT).read_text()


def test_a_conda_rebuild_activates_in_its_kernel_alone(server: Server, place: Path) -> None:
    before = install.install(order(server.url))
    other = install.install(order(server.url, name="mine"))
    rebuilt = install.install(order(server.url, rebuild=True))
    for made in (rebuilt, other):
        variables = json.loads((made.kernelspec / "kernel.json").read_text())["env"]
        assert variables["CONDA_PREFIX"] == str(made.environment.folder)
        assert str(before.environment.folder) not in json.dumps(variables)


def test_releases_missing_from_conda_use_wheels(
    light: str, server: Server, place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for archive in (place / "served" / channels.subdir()).glob("tensorflow-*"):
        archive.unlink()
    index = place / "served" / channels.subdir() / "repodata.json"
    index.write_text(index.read_text().replace("1.15.5", "1.14.0"))
    done = install.install(order(server.url))
    said = capfd.readouterr().err
    assert "no tensorflow 1.15.5; there is 1.14.0. It is made of conda's Python and wheels instead" in said
    assert done.environment.folder in Path(os.path.realpath(done.environment.python)).parents
    assert (done.environment.folder / "requirements.txt").read_text() == light
    assert "python-3.7" in (done.environment.folder / prefixes.EXPLICIT).read_text()


def small(version: str, text: str) -> dict[str, str]:
    """The files of a small package of Python's, as wheels and conda's packages have them."""
    info = f"small-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: small\nVersion: {version}\n"
    return {
        "small.py": text,
        f"{info}/METADATA": metadata,
        f"{info}/RECORD": f"small.py,,\n{info}/METADATA,,\n{info}/RECORD,,\n",
    }


def test_doctor_reports_changed_conda_packages(server: Server, place: Path) -> None:
    site = "lib/python3.7/site-packages"
    files: dict[str, bytes | Path] = {f"{site}/{path}": text.encode() for path, text in small("1.0", "x = 1").items()}
    Package("small", "1.0", ("python 3.7.*",), files, build="py37_0").write(place / "served")
    made = install.install(order(server.url, extras=("small",))).environment
    diagnosis = doctor.examine("tf1")
    assert (diagnosis.ok, diagnosis.warnings, diagnosis.notes) == (True, (), ())

    own = [
        package_index.wheel(place, "colorama", "0.4.5", {"colorama.py": ""}),
        package_index.wheel(place, "small", "2.0", {"small.py": ""}),
    ]
    pip = [find_uv_bin(), "pip", "install", "--quiet", "--python", str(made.python)]
    subprocess.run([*pip, *map(str, own)], check=True)
    diagnosis = doctor.examine("tf1")
    assert (diagnosis.warnings, diagnosis.notes) == (("small is 2.0 instead of 1.0",), ("colorama==0.4.5 was added",))

    for name in ("numpy", "another"):
        Package(name, "1.19.0", ("ipykernel",)).write(place / "served")
    beside = ("tensorflow", "ipykernel", "numpy==1.19.0", "another", "pip", "setuptools", "ipywidgets", "tqdm", "small")
    prefixes.install(
        made.folder, PackageRequest((server.url,), ("python=3.7", *beside)), Reporter("as `conda install` does")
    )
    diagnosis = doctor.examine("tf1")
    assert "numpy is 1.19.0 instead of 1.18.5" in diagnosis.warnings
    assert "matplotlib-base is missing" in diagnosis.warnings
    assert "another==1.19.0 was added" in diagnosis.notes

    (made.folder / "etc" / "conda" / "activate.d" / "stub.sh").unlink()
    diagnosis = doctor.examine("tf1")
    assert "tensorflow: etc/conda/activate.d/stub.sh is missing" in (diagnosis.problem or "")
    assert (
        diagnosis.remedy
        == f"tfkernels install tf1 --user --backend conda --channel {server.url} --with small --rebuild"
    )


def test_requirements_for_other_pythons_and_limits(server: Server, place: Path) -> None:
    for version in ("1.0", "1.5", "2.0"):
        Package("brought", version, ("python 3.7.*",)).write(place / "served")
    Package("asked", "1.0", ("brought",)).write(place / "served")
    lines = (
        "asked==1.*,!=1.1 ; python_version >= '3.7'",
        "none ; python_version < '3'",
        "-c brought<2,!=1.5",
        "-c nothing<1",
    )
    done = install.install(order(server.url, extras=lines))
    explicit = prefixes.listed(done.environment.folder)
    assert (explicit["asked"], explicit["brought"]) == ("1.0", "1.0")
    with pytest.raises(Conflicts) as failed:
        install.install(order(server.url, extras=("asked", "-c brought>2")))
    (conflict,) = failed.value.found
    assert conflict.requirements == ("asked", "-c brought>2")
    assert conflict.causes == ("asked 1.0 needs brought",)


def test_hashes_of_wheels_are_refused_for_conda(server: Server, place: Path) -> None:
    with pytest.raises(BuildFailed, match="more than a name and versions"):
        install.install(order(server.url, extras=(f"numpy==1.0 --hash=sha256:{'0' * 64}",)))
    assert nothing_is_there(place)


def test_all_conflicts_of_conda_packages_are_told_and_loosened(server: Server, place: Path) -> None:
    for version in ("1.0", "1.1", "1.2"):
        Package("extra", version).write(place / "served")
    Package("needy", "1.0", ("extra >=1.1",)).write(place / "served")
    Package("later", "1.0", ("python 3.8.*",)).write(place / "served")
    lines = ("extra==1.0", "needy", "nobody", "later==1.0", "tensorflow==1.14", "tqdm", "six<1 ; python_version < '3'")
    asked = order(server.url, extras=lines)
    with pytest.raises(Conflicts) as refused:
        plan.of(replace(asked, relax=True), Reporter("tf1"))
    heading, *told, advice = str(refused.value).splitlines()
    assert heading == "Cannot add 5 of 6 requirements to TensorFlow 1.15.5 on Python 3.7:"
    one = "this environment already has TensorFlow 1.15.5, and it can hold only one"
    assert told == [
        "  extra==1.0 and needy: needy 1.0 needs extra>=1.1",
        "  nobody: the channels have no package nobody",
        "  later==1.0: later 1.0 needs Python==3.8.*, and this kernel has 3.7",
        f"  tensorflow==1.14: {one}. Make a kernel of the other release: tfkernels install 1.14",
    ]
    assert advice == "Correct the name or version, or name a channel that has it: --channel."
    assert {change.old: (change.new, change.version) for change in refused.value.changes or ()} == {
        "extra==1.0": ("extra>=1.0", "1.2"),
        "later==1.0": ("", ""),
        "nobody": ("", ""),
        "tensorflow==1.14": ("", ""),
    }
    loosened = plan.of(install.relaxed(asked, refused.value), Reporter("tf1"))
    assert {"extra 1.2", "needy 1.0"} <= {f"{one.name} {one.version}" for one in loosened.packages}
    assert nothing_is_there(place)


def test_a_machine_that_there_are_no_wheels_for(
    light: str, server: Server, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(releases, "platform_name", lambda: "linux-aarch64")
    with pytest.raises(NoWheels, match="--backend conda"):
        install.install(InstallRequest("tf1", user=True))
    assert install.install(order(server.url)).built, "as that said"

    Package("python", "3.7.99").write(place / "bare")
    with pytest.raises(
        BuildFailed, match=r"no tensorflow 1\.15\.5.*TensorFlow 1\.15\.5 has no wheels for linux-aarch64"
    ):
        install.install(order(place / "bare", name="other"))


def test_conda_releases_for_another_python_are_explained(server: Server, place: Path) -> None:
    replaced = Package("tensorflow", "1.15.5", ("python >=3.8,<3.9.0a0",), build="py38_0")
    (place / "served" / channels.subdir() / "tensorflow-1.15.5-py37_0.tar.bz2").unlink()
    index = place / "served" / channels.subdir() / "repodata.json"
    content = json.loads(index.read_text())
    del content["packages"]["tensorflow-1.15.5-py37_0.tar.bz2"]
    index.write_text(json.dumps(content))
    replaced.write(place / "served")
    wanted = PackageRequest((server.url,), ("python=3.7",), tensorflow=("1.15.5", "3.7"))
    with pytest.raises(PackageNotInChannels, match=r"is there for Python 3\.8 \(--python takes one\), not for 3\.7"):
        prefixes.install(place / "prefix", wanted, Reporter("test"))
    assert not (place / "prefix").exists()


_COMPLAINT = """#!{python}
import sys, json
sys.stderr.write("x" * 300_000)
sys.stderr.flush()
"""


def test_a_verbose_solver_worker_does_not_block(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = place / "worker.py"
    worker.write_text(f"{_COMPLAINT}print(json.dumps({{'event': 'done'}}))\n")
    monkeypatch.setattr(prefixes, "_WORKER", worker)
    prefixes.install(place / "prefix", PackageRequest(("conda-forge",), ("python",)), Reporter("test"))
    worker.write_text(f"{_COMPLAINT}sys.exit('and dies')\n")
    with pytest.raises(BuildFailed, match=r"could not be installed(?s:.*)and dies"):
        prefixes.install(place / "prefix", PackageRequest(("conda-forge",), ("python",)), Reporter("test"))


def test_defaults_channel_comes_with_a_licence_note(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("RATTLER_CACHE_DIR", str(place / "cache"))
    for channel, told in (("defaults", True), ("conda-forge", False)):
        with pytest.raises(BuildFailed, match=r"the network may not be used \(--offline.*Omit --offline"):
            install.install(order(channel))
        assert ("larger organisations need a licence" in capfd.readouterr().err) == told
