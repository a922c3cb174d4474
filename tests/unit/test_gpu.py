"""Kernels for GPUs: which libraries, which variables, which cards. What needs a GPU to be seen was not tried."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tfprovisioner.catalogue import locks
from tfprovisioner.catalogue import releases as catalogue
from tfprovisioner.catalogue.releases import PARTS, TENSORFLOWS
from tfprovisioner.environments.store import Environment
from tfprovisioner.errors import NoGPU
from tfprovisioner.gpu import cuda
from tfprovisioner.gpu import devices as cards
from tfprovisioner.gpu.devices import Card
from tfprovisioner.requirements.request import InstallRequest, Recipe

TURING, AMPERE = Card(0, "Tesla T4", "535.104.05", (7, 5)), Card(1, "NVIDIA A100", "535.104.05", (8, 0))
HOPPER, BLACKWELL = Card(0, "NVIDIA H200", "570.10", (9, 0)), Card(0, "NVIDIA B200", "580.10", (10, 0))


@pytest.mark.parametrize(
    ("card", "versions", "words"),
    [
        (TURING, ["9.0", "10.0", "11.0", "11.8", "12.2", "12.9"], None),
        (AMPERE, ["11.0", "11.2", "11.8", "12.2"], None),
        (AMPERE, ["8.0", "9.0", "10.0", "10.1"], "capability is 8.0, and CUDA .* made for cards up to"),
        (HOPPER, ["10.0"], "capability is 9.0"),
        (HOPPER, ["11.2", "11.8", "12.5"], None),
        (Card(0, "Tesla K80", "470.82", (3, 7)), ["12.2"], "driver 470.82 is too old .* needs 525.60.13"),
        (Card(0, "Tesla K80", "525.60.13", (3, 7)), ["12.2"], "capability is 3.7, and CUDA 12.2 needs 5.0 or more"),
        (Card(0, "Tesla K80", "470.82", (3, 7)), ["10.0", "11.2", "11.8"], None),
        (Card(0, "Tesla V100", "396.37", None), ["9.0"], None),
        (Card(0, "Tesla V100", "396.37", None), ["10.0"], "396.37 is too old for CUDA 10.0, which needs 410.48"),
        (Card(0, "Tesla V100", "450.51", None), ["11.2"], "needs 450.80.02"),
    ],
)  # fmt: skip
def test_what_cannot_work(card: Card, versions: list[str], words: str | None) -> None:
    for version in versions:
        told = cards.objection(card, version)
        assert (told is None) if words is None else re.search(words, told or ""), (version, told)


def test_gpus_newer_than_cuda_get_a_caution() -> None:
    assert "may take minutes, or fail" in (cards.caution(BLACKWELL, "12.5") or "")
    assert cards.caution(BLACKWELL, "12.9") is None
    assert "may take minutes" in (cards.caution(HOPPER, "11.2") or "")
    assert cards.caution(HOPPER, "11.8") is None
    assert cards.caution(AMPERE, "10.0") is None, "that is refused"


def test_one_working_requested_gpu_is_enough() -> None:
    (told,) = cards.check([TURING, AMPERE], "10.0", "1.15.5")
    assert "NVIDIA A100" in told
    assert cards.check([TURING, AMPERE], "10.0", "1.15.5", "0") == []
    with pytest.raises(NoGPU, match=r"TensorFlow 1\.15\.5 runs with CUDA 10\.0.*A100.*omit --gpu"):
        cards.check([TURING, AMPERE], "10.0", "1.15.5", "1")
    with pytest.raises(NoGPU, match=r"0 to 1, and not all of --devices 0,7"):
        cards.check([TURING, AMPERE], "11.8", "2.11.0", "0,7")
    (told,) = cards.check([], "11.8", "2.11.0")
    assert "no NVIDIA driver" in told


def test_cards_may_be_named_by_their_ids() -> None:
    two = replace(TURING, uuid="GPU-8a56a4bc-e184"), replace(AMPERE, uuid="GPU-8a9f0000-0001")
    assert cards.check(two, "10.0", "1.15.5", "GPU-8a56a4bc-e184") == []
    assert cards.check(two, "10.0", "1.15.5", "GPU-8A56") == [], "CUDA takes the beginning of one"
    with pytest.raises(NoGPU, match=r"A100.*capability is 8\.0"):
        cards.check(two, "10.0", "1.15.5", "GPU-8a9f0000-0001")
    for none, or_both in ("GPU-1234", "GPU-8a"), ("1,GPU-8a9f", "GPU-8a,0"):
        for devices in (none, or_both):
            with pytest.raises(NoGPU, match=rf"\(GPU-8a56a4bc-e184, GPU-.*not all of --devices {devices}"):
                cards.check(two, "11.8", "2.11.0", devices)
    (told,) = cards.check(two, "10.0", "1.15.5", "MIG-8a9f0000-0001-0002")
    assert "A100" in told, "whose part that is nobody knows"
    (told,) = cards.check([TURING, AMPERE], "10.0", "1.15.5", "GPU-8a56")
    assert "A100" in told, "nor what a card is called whose driver does not tell"


def test_wheels_without_code_for_the_gpu() -> None:
    maxwell = Card(0, "GeForce GTX 980", "550.54", (5, 2))
    for release in ("2.17.0", "2.18.1", "2.21.0"):
        with pytest.raises(NoGPU, match=rf"GTX 980: .* is 5\.2, and TensorFlow {release} was made for 6\.0 or more"):
            cards.check([maxwell], "12.5", release)
    assert cards.check([maxwell], "12.3", "2.16.1") == []
    assert cards.check([maxwell], "12.5", "2.18.1", wheels=False) == [], "conda's are made for others"
    assert cards.check([replace(maxwell, name="GeForce GTX 1080", capability=(6, 1))], "12.5", "2.18.1") == []


def test_what_nvidia_smi_says() -> None:
    table = "0, Tesla T4, 535.104.05, GPU-8a56, 7.5\n1, NVIDIA A100, 535.104.05, GPU-8a9f, 8.0\n"
    assert cards.read(table) == (replace(TURING, uuid="GPU-8a56"), replace(AMPERE, uuid="GPU-8a9f"))
    assert cards.read("0, GeForce GTX 1080, 396.37, GPU-8a56\n") == (
        Card(0, "GeForce GTX 1080", "396.37", None, "GPU-8a56"),
    )
    assert cards.read("NVIDIA-SMI has failed because it could not communicate with the driver.\n") == ()


@pytest.mark.parametrize("devices", ["0", "0,1", "GPU-8a56a4bc-e184-1047-2b4a-6ef1ff8a2e00", "all", "none"])
def test_devices(devices: str) -> None:
    cards.check_devices(devices)


@pytest.mark.parametrize("devices", ["", "0;1", "any", "-1", "0,"])
def test_no_devices(devices: str) -> None:
    with pytest.raises(NoGPU, match="names no GPUs"):
        cards.check_devices(devices)


WITH_CUDA = [release for release in catalogue.releases() if cuda.by_wheels(release)]


@pytest.mark.parametrize("release", catalogue.releases(), ids=lambda release: release.version)
def test_every_release_has_a_gpu_lock(release: catalogue.Release) -> None:
    text = cuda.lock(release)
    assert text is not None
    assert release.lock is not None
    whole = set(TENSORFLOWS) - PARTS
    brought = [pin for pin in locks.split(text)[0] if pin.split("==")[0] in whole]
    assert brought == [f"{release.gpu}=={release.version}"], "one TensorFlow, on every machine"
    others = {pin for pin in locks.split(release.lock)[0] if pin.split("==")[0] not in whole}
    assert others <= set(locks.split(text)[0])


@pytest.mark.parametrize("release", WITH_CUDA, ids=lambda release: release.version)
def test_locks_with_cuda(release: catalogue.Release) -> None:
    text = cuda.lock(release)
    assert text is not None
    assert release.lock is not None
    names = re.findall(r"(?m)^([a-z0-9_.-]+)==", text)
    assert "tensorflow-cpu" not in names
    assert re.search(rf"(?m)^tensorflow=={re.escape(release.version)} \\$", text), "on every machine, not only on some"
    major = cuda.version(release).split(".")[0]
    for library in ("cublas", "cuda-runtime", "cudnn", "cufft", "curand", "cusolver", "cusparse", "cuda-nvcc"):
        assert names.count(f"nvidia-{library}-cu{major}") == 1
    entries = re.split(r"\n(?=\S)", text.strip())
    assert all(re.match(r"[A-Za-z0-9._-]+==[^ ]+( ; [^\\]+)? \\\n +--hash=sha256:", entry) for entry in entries)
    rest = {entry for entry in re.split(r"\n(?=\S)", release.lock.strip()) if not entry.startswith("tensorflow")}
    assert rest - set(entries) == set(), "all else is what was verified"


def entry(requirement: str, *hashes: int) -> str:
    return " \\\n    ".join([requirement, *(f"--hash=sha256:{number:064}" for number in hashes)]) + "\n"


def test_a_lock_is_overlaid() -> None:
    estimator = entry("tensorflow-estimator==2", 2)
    small, plain = entry("tensorflow-cpu==2 ; linux", 1), entry("tensorflow==2 ; darwin", 3)
    over = [entry("nvidia-x==1", 4, 5), entry("tensorflow==2", 3)]
    lock = "".join([entry("a==1", 0), small, estimator, plain])
    assert cuda.overlaid(lock, "".join(["# why\n", *over])) == "".join([entry("a==1", 0), estimator, *over])


def test_what_conda_is_asked_for() -> None:
    assert cuda.by_conda(catalogue.find("1.15")) == ("cudatoolkit=10.0", "cudnn>=7.4,<8")
    assert cuda.by_conda(catalogue.find("1.3")) == ("cudatoolkit=8.0", "cudnn>=6,<7")
    assert cuda.by_conda(catalogue.find("2.11")) == ()


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """What the kernelspec of a GPU environment looks at."""
    packages = tmp_path / "lib" / "python3.13" / "site-packages" / "nvidia"
    for folder in ("cublas/lib", "cudnn/lib", "cudnn/include", "cuda_nvcc/bin", "cuda_nvcc/nvvm/libdevice"):
        (packages / folder).mkdir(parents=True)
    recipe = Recipe.of(InstallRequest("tf2", gpu=True), "3.13")
    return Environment(tmp_path, recipe, "3.13.0", "/usr/bin/python3.13", "2026-01-01", 1)


def test_devices_without_gpu_libraries(environment: Environment) -> None:
    assert cuda.variables(None, None) == cuda.variables(None, "all") == {}
    assert cuda.variables(None, "none") == {
        "CUDA_VISIBLE_DEVICES": "-1",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
    }
