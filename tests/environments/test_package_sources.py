"""Where packages come from: checked whatever the source is, no code of others, no passwords in what stays."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import package_index
from tests.support.commands import built, nothing_is_there
from tfprovisioner.catalogue import releases
from tfprovisioner.cli import app as cli

SECRET = "pass-w0rd-4711"  # noqa: S105 (to be looked for)
USER = f"somebody:{SECRET}"
TOKEN = "a1B2c3D4e5F6g7H8"  # noqa: S105


def configure(place: Path, settings: str) -> None:
    """Writes the user's ``uv.toml``."""
    (place / "config" / "uv").mkdir(parents=True)
    (place / "config" / "uv" / "uv.toml").write_text(settings)


def falsified(place: Path, name: str, version: str) -> dict[str, Path]:
    """A wheel of the same name and version that has something else in it."""
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    made = package_index.wheel(elsewhere, name, version, {f"{name}.py": "raise SystemExit('not for you')"})
    return {made.name: made}


Install = Callable[..., tuple[int, str]]


def test_a_dying_index_leaves_nothing_behind(index: package_index.Index, install: Install, place: Path) -> None:
    index.dies_after = package_index.PARTS // 2
    code, words = install("--index", index.url)
    assert code == 1
    assert index.dies_after < 0, "it was in the middle"
    assert "Check the network, or UV_DEFAULT_INDEX" in words
    assert nothing_is_there(place)

    index.dies_after = None
    code, words = install("--index", index.url)
    assert code == 0, words
    assert len(built(place)) == 1


def test_wrong_hashes_are_refused_whatever_uvs_settings(
    index: package_index.Index, install: Install, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.wrong = falsified(place, "part3", "1.0")
    monkeypatch.setenv("UV_NO_VERIFY_HASHES", "1")
    configure(place, "[pip]\nverify-hashes = false\nrequire-hashes = false\n")
    code, words = install("--index", index.url)
    assert code == 1
    assert "another file than the lock names" in words
    assert nothing_is_there(place)


def test_extras_are_locked_with_hashes_and_checked(index: package_index.Index, install: Install, place: Path) -> None:
    extra = package_index.wheel(index.folder, "extra", "2.0", {"extra.py": "x = 1"})
    code, words = install("--with", "extra", "--index", index.url)
    assert code == 0, words
    (record,) = built(place)
    assert (
        f"extra==2.0 \\\n    --hash=sha256:{package_index.digest(extra)}"
        in (record.parent / "requirements.txt").read_text()
    )
    shutil.rmtree(place / "home")
    shutil.rmtree(place / "cache")

    index.wrong = falsified(place, "extra", "2.0")
    code, words = install("--with", "extra", "--index", index.url)
    assert code == 1
    assert "another file than the lock names" in words
    assert list((place / "home" / "environments").glob("*")) == []


def test_hashes_of_requirement_files_are_checked(index: package_index.Index, install: Install, place: Path) -> None:
    file, extra = place / "requirements.txt", package_index.wheel(index.folder, "extra", "2.0", {"extra.py": ""})
    file.write_text(f"extra==2.0 --hash=sha256:{'0' * 64}")
    code, words = install("--requirements", str(file), "--index", index.url)
    assert code == 1
    assert "Cannot add 'extra==2.0': the package index has other files of extra==2.0" in words
    assert nothing_is_there(place)

    mine = package_index.digest(extra)
    file.write_text(f"extra==2.0 --hash=sha256:{'0' * 64} \\\n  --hash=sha256:{mine}")
    code, words = install("--requirements", str(file), "--index", index.url)
    assert code == 0, words
    (record,) = built(place)
    assert f"extra==2.0 \\\n    --hash=sha256:{mine}\n" in (record.parent / "requirements.txt").read_text()
    code, words = install("--index", index.url)
    assert code == 0, words
    assert built(place) == [record], "the kernel keeps them"


def test_a_requirement_file_is_enough(
    index: package_index.Index, place: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, elsewhere = place / "requirements.txt", place / "elsewhere"
    elsewhere.mkdir()
    package_index.wheel(elsewhere, "extra", "2.0", {"extra.py": ""})
    arguments = ["install", "--user", "--requirements", str(file), "--index", index.url]
    with package_index.serving(package_index.Index(elsewhere, has_every_page=False)) as other:
        sources = f"--extra-index-url {other.url}\n-f {other.url}/extra/\n"
        file.write_text(f"tensorflow-gpu==1.15.5\nextra\ngit+https://github.com/a/b\n{sources}")
        assert cli.app(arguments, standalone_mode=False) == 1
        assert not other.asked, "files do not choose where packages come from"
        notes = "".join(capfd.readouterr())
        assert "Set UV_INDEX to its address" in notes
        monkeypatch.setenv("UV_INDEX", other.url)
        assert not cli.app(arguments, standalone_mode=False)
    words = "".join(capfd.readouterr())
    assert f"TensorFlow 1.15.5: 'tensorflow-gpu==1.15.5' ({file}:1)" in words
    assert f"({file}:1): CUDA's libraries are installed only with --gpu" in words
    assert f"{file}:3: left out 'git+https://github.com/a/b': " in words
    order = json.loads((place / "jupyter" / "kernels" / "tf1.15.5" / "kernel.json").read_text())["metadata"]
    assert (order["tfkernels"]["order"]["release"], order["tfkernels"]["order"]["extras"]) == (
        "1.15.5", ["extra"]
    )  # fmt: skip


def test_a_second_tensorflow_is_never_installed(index: package_index.Index, install: Install, place: Path) -> None:
    code, words = install("--with", "tensorflow-cpu", "--index", index.url)
    assert code == 0, f"the index has none of that name, and needs none: {words}"
    assert "'tensorflow-cpu' adds nothing: TensorFlow is there already, as tensorflow 1.15.5" in words
    (record,) = built(place)
    assert [path.name for path in record.parent.rglob("*.dist-info") if path.name.startswith("tensorflow")] == [
        "tensorflow-1.15.5.dist-info"
    ]
    code, words = install("--with", "tensorflow-cpu==1.15.0", "--index", index.url)
    assert code == 1
    assert "already has TensorFlow 1.15.5" in words


def test_a_requirement_that_the_lock_fulfils_leaves_it_verified(
    index: package_index.Index, install: Install, place: Path
) -> None:
    code, words = install("--with", "part3>=1,part4", "--index", index.url)
    assert code == 0, words
    (record,) = built(place)
    assert (record.parent / "requirements.txt").read_text() == releases.find("tf1").lock


def test_an_index_without_a_package_is_no_conflict(index: package_index.Index, install: Install, place: Path) -> None:
    package_index.wheel(index.folder, "extra", "1.0", {"extra.py": ""})
    (index.folder / "part3-1.0-py3-none-any.whl").unlink()
    code, words = install("--with", "extra", "--index", index.url)
    assert code == 1
    assert "there is no version of part3==1.0" in " ".join(words.split())
    assert "the index has no such package or version. Check the package's name, --index" in words
    assert "Cannot add" not in words
    package_index.wheel(index.folder, "part3", "1.0", {"part3.py": "number = 3"})
    assert nothing_is_there(place)


def test_an_index_with_sources_only_needs_a_folder_of_wheels(
    index: package_index.Index, install: Install, place: Path
) -> None:
    (folder := place / "more").mkdir()
    shutil.move(index.folder / "part3-1.0-py3-none-any.whl", folder)
    package_index.source(index.folder, "part3", "1.0", "raise SystemExit('not for you')")
    code, words = install("--index", index.url)
    assert code == 1
    assert "a package has no wheel for this Python and platform" in words.partition("uv reported")[0]
    assert nothing_is_there(place)
    code, words = install("--index", index.url, "--find-links", str(folder))
    assert code == 0, words


def test_a_private_certificate_authority_is_named(
    index: package_index.Index, install: Install, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, certificate = package_index.certified(place)
    with package_index.serving(package_index.Index(index.folder), certificate) as private:
        url = private.url.replace("http:", "https:")
        code, words = install("--index", url)
        assert code == 1
        assert "a certificate of an authority that uv does not know" in words.partition("uv reported")[0]
        file = "/etc/ssl/certs/ca-certificates.crt"
        assert (f"the system's own file is {file}" in words) == Path(file).exists()
        assert nothing_is_there(place)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        code, words = install("--index", url)
    assert code == 0, words


def test_a_local_mirror_suffices_offline(
    index: package_index.Index, install: Install, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, words = install("--offline")
    assert code == 1
    assert "the network may not be used (--offline" in words.partition("uv reported")[0]
    assert "Omit --offline" in words.partition("uv reported")[0]
    assert nothing_is_there(place)

    code, words = install("--offline", "--find-links", str(index.folder))
    assert code == 0, words
    shutil.rmtree(place / "home")
    monkeypatch.delenv("UV_FIND_LINKS")
    shutil.rmtree(place / "cache")
    monkeypatch.delenv("UV_OFFLINE")
    assert install("--index", index.url)[0] == 0
    shutil.rmtree(place / "home")
    index.asked.clear()
    code, words = install("--offline", "--index", index.url)
    assert code == 0, f"the cache is warm, {words}"
    assert index.asked == []

    code, words = install("--find-links", str(place / "nowhere"))
    assert code == 1
    assert "There is no folder" in words


def test_cached_files_are_not_requested(index: package_index.Index, install: Install, place: Path) -> None:
    """Nor does it have to be there: a kernel that was removed comes back on a train."""
    assert install("--index", index.url)[0] == 0
    shutil.rmtree(place / "home")
    index.asked.clear()
    assert install("--index", index.url)[0] == 0
    assert index.asked == []

    shutil.rmtree(place / "home")
    for archive in (place / "cache").glob("archive-*/*/tensorflow"):
        shutil.rmtree(archive.parent)
    code, words = install("--index", index.url)
    assert code == 0, words
    assert any(name.startswith("tensorflow-") for name in index.asked), "but for what is missing"


@pytest.mark.parametrize("way", ["--index", "UV_DEFAULT_INDEX", "UV_INDEX", "uv.toml", "uv.toml [pip]"])
def test_passwords_stay_out_of_everything(
    index: package_index.Index, install: Install, place: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    index.user, index.token = USER, TOKEN
    url = index.url_for(USER)
    package_index.wheel(index.folder, "extra", "2.0", {"extra.py": ""})
    arguments = ["--with", "extra", *(["--index", url] if way == "--index" else [])]
    if way.startswith("UV_"):
        monkeypatch.setenv(way, url)
    elif way == "uv.toml [pip]":
        configure(place, f'[pip]\nindex-url = "{url}"\nemit-index-annotation = true\n')
    elif way == "uv.toml":
        configure(place, f'[[index]]\nurl = "{url}"\ndefault = true\n[pip]\nemit-index-url = true\n')

    said = []
    index.wrong = falsified(place, "part3", "1.0")
    said.append(install(*arguments))
    shutil.rmtree(place / "cache")  # a failed installation may have downloaded all other files, or none
    index.wrong, index.dies_after = {}, 2
    said.append(install(*arguments))
    shutil.rmtree(place / "cache")
    index.dies_after, index.user = None, "another:one"
    said.append(install(*arguments))
    index.user = USER
    assert [code for code, _ in said] == [1, 1, 1]
    said.append(install(*arguments))
    assert said[-1][0] == 0, said
    assert "wants another user or password" in said[2][1]

    assert not any(secret in words for _, words in said for secret in (SECRET, TOKEN))
    written = [path for folder in ("home", "jupyter") for path in (place / folder).rglob("*") if path.is_file()]
    assert len(written) > package_index.PARTS
    assert [path for path in written if {SECRET.encode(), TOKEN.encode()} & set(_words(path))] == []
    (kernel,) = (place / "jupyter" / "kernels").glob("*/kernel.json")
    command = json.loads(kernel.read_text())["metadata"]["tfkernels"]["command"]
    assert command == "tfkernels install tf1 --user --with extra"


def _words(path: Path) -> list[bytes]:
    return re.findall(rb"[\w-]+", path.read_bytes())


@pytest.fixture
def proxy(index: package_index.Index, monkeypatch: pytest.MonkeyPatch) -> Iterator[package_index.Proxy]:
    """A proxy behind which the index is; nothing else leads to the host index.test."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        for spelled in (name, name.lower()):
            monkeypatch.delenv(spelled, raising=False)
    with package_index.forwarding(package_index.Proxy(index)) as running:
        yield running


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_behind_a_proxy(
    proxy: package_index.Proxy, install: Install, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    package_index.wheel(proxy.index.folder, "extra", "2.0", {"extra.py": ""})
    monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    code, words = install("--with", "extra", "--index", "http://index.test/simple")
    assert code == 0, words
    assert "GET http://index.test/simple/extra/" in proxy.asked
    assert any(asked.startswith("GET http://index.test/files/tensorflow-") for asked in proxy.asked)


def test_a_proxy_that_wants_a_password(
    proxy: package_index.Proxy, install: Install, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy.user = "somebody:else"
    monkeypatch.setenv("HTTP_PROXY", f"http://{USER}@127.0.0.1:{proxy.port}")
    code, words = install("--with", "extra", "--index", "http://index.test/simple")
    assert code == 1
    assert "or a proxy before it, wants another user or password" in words
    assert "HTTPS_PROXY" in words
    assert SECRET not in words
    assert nothing_is_there(place)

    proxy.user = USER
    package_index.wheel(proxy.index.folder, "extra", "2.0", {"extra.py": ""})
    code, words = install("--with", "extra", "--index", "http://index.test/simple")
    assert code == 0, words
    assert [
        path for path in (place / "home").rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()
    ] == []


@pytest.mark.parametrize("user", [None, "somebody:else"])
def test_a_proxy_that_lets_nobody_through(
    proxy: package_index.Proxy, install: Install, place: Path, monkeypatch: pytest.MonkeyPatch, user: str | None
) -> None:
    proxy.user = user
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    code, words = install("--with", "extra", "--index", "https://index.test/simple")
    assert code == 1
    assert "CONNECT index.test:443" in proxy.asked
    assert "HTTPS_PROXY" in words, words
    assert nothing_is_there(place)


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ('[pip]\ntarget = "{place}/theirs"', "`target`"),
        ('[pip]\nprefix = "{place}/theirs"', "`prefix`"),
        ('[pip]\npython-platform = "windows"\npython-version = "3.8"', "`python-platform`, `python-version`"),
        ('[pip]\nno-binary = ["part3"]', "`no-binary`"),
        ('no-binary-package = ["part3"]', "`no-binary`"),
        ('link-mode = "symlink"', "`link-mode`"),
    ],
)
def test_harmful_uv_settings_are_refused(
    index: package_index.Index, install: Install, place: Path, toml: str, told: str
) -> None:
    configure(place, toml.format(place=place))
    code, words = install("--index", index.url)
    assert code == 1
    assert f"uv.toml says {told}" in " ".join(words.split())
    assert nothing_is_there(place)
    assert not (place / "theirs").exists()
