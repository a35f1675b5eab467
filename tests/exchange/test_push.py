"""A finished folder reaches a hub whole, once, and without a word of the token."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cultureclip.errors import SourceDataError
from cultureclip.exchange.checksums import check_finished, write_checksums
from tests.support.hub import hub

TOKEN = "hf_secretsecretsecret"


@pytest.fixture
def server():
    with hub(TOKEN) as started:
        yield started


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "export"
    (made / "adapter").mkdir(parents=True)
    (made / "README.md").write_text("---\nlicense: mit\n---\n")
    (made / "open_clip_model.safetensors").write_bytes(bytes(range(256)) * 40)
    (made / "adapter/card.json").write_text("{}\n")
    write_checksums(made)
    return made


def push(server, folder, *options, token: str | None = TOKEN, **variables):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment |= {"HF_ENDPOINT": server.url, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "*"}
    environment |= {"HF_HOME": str(folder.parent / "home"), "HF_HUB_VERBOSITY": "debug"}
    environment |= ({"HF_TOKEN": token} if token else {}) | variables
    command = [sys.executable, "-m", "cultureclip.exchange.push", str(folder), "somebody/model", "--kind", "model"]
    done = subprocess.run(
        [*command, *options], capture_output=True, text=True, env=environment, timeout=120, check=False
    )
    assert "secretsecret" not in done.stdout + done.stderr
    return done


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_repository_holds_exactly_the_folder_after_one_commit(server, folder):
    done = push(server, folder)
    assert done.stdout == f"{server.url}/somebody/model/commit/1\n"
    repository = server.repositories["somebody/model"]
    assert repository["files"] == contents(folder)
    assert (repository["private"], repository["kind"], server.commits) == (True, "model", 1)
    repository["files"] |= {".gitattributes": b"lfs", "onnx/image.onnx": b"of an earlier export"}
    assert push(server, folder).returncode == 0
    assert repository["files"] == contents(folder) | {".gitattributes": b"lfs"}


def test_nothing_becomes_public_unasked(server, folder):
    server.repositories["somebody/model"] = {"kind": "model", "private": False, "files": {"old": b""}}
    done = push(server, folder)
    assert (done.returncode, server.repositories["somebody/model"]["files"]) == (1, {"old": b""})
    assert "it exists and is public" in done.stderr
    assert push(server, folder, "--public").returncode == 0
    assert server.repositories["somebody/model"]["files"] == contents(folder)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"token": None}, "token of the hub: there is none"),
        ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE: it is set"),
        ({"token": "hf_secretsecretwrong"}, "the token <token> is not known here"),
    ],
)
def test_without_a_network_or_a_token_nothing_is_sent(server, folder, variables, said):
    done = push(server, folder, **variables)
    assert (done.returncode, server.repositories, server.commits) == (1, {}, 0)
    assert said in done.stderr


@pytest.mark.parametrize("step", ["/somebody/model.git", "/api/models/somebody/model/commit"])
def test_an_interrupted_push_leaves_the_repository_as_it_was_and_can_be_repeated(server, folder, step):
    server.repositories["somebody/model"] = {"kind": "model", "private": True, "files": {"old": b"1"}}
    server.refuses = step
    done = push(server, folder)
    assert done.returncode == 1 and "501" in done.stderr
    assert server.repositories["somebody/model"]["files"] == {"old": b"1"}
    server.refuses = "none"
    assert push(server, folder).returncode == 0
    assert server.repositories["somebody/model"]["files"] == contents(folder)


def test_a_malformed_address_is_told(server, folder):
    environment = {"HF_HUB_OFFLINE": "0", "HF_TOKEN": TOKEN, "HF_ENDPOINT": server.url}
    command = [sys.executable, "-m", "cultureclip.exchange.push", str(folder), "no//good", "--kind", "dataset"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, check=False)
    assert done.returncode == 1 and "Write it as <owner>/<name>" in done.stderr and TOKEN not in done.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: (f / "SHA256SUMS").unlink(), "no SHA256SUMS in it"),
        (lambda f: (f / "README.md").unlink(), "no README.md in it"),
        (lambda f: (f / "adapter/card.json").unlink(), "card.json: is not there"),
        (lambda f: (f / "adapter/card.json").write_text("{ }\n"), "card.json: was changed"),
        (lambda f: (f / "notes.txt").write_text("mine"), "notes.txt: was added"),
        (lambda f: (f / "SHA256SUMS").write_text("0  README.md\n"), "not a list of checksums"),
        (lambda f: (f / "SHA256SUMS").write_bytes(b"\xff\xfe"), "cannot be read"),
    ],
)
def test_a_folder_that_is_not_as_the_export_left_it_is_refused(folder, change, said):
    assert len(check_finished(folder)) == 4
    change(folder)
    with pytest.raises(SourceDataError, match="Export it again") as error:
        check_finished(folder)
    assert said in str(error.value)
