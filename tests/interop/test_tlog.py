"""Our transparency logs and those of the Go authors' `golang.org/x/mod/sumdb`: each reads and proves what the other made."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from certs.transparency import NoteSigner, verify_log
from schemas.transparency.merkle import (
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    range_hash,
    verify_consistency,
    verify_inclusion,
)
from schemas.transparency.notes import ED25519, Checkpoint, SignedNote, parse_note, parse_verifier_key
from schemas.transparency.tiles import GrowingTree, TileName, tile_subtrees
from tests.programs import lack, need

SOURCE = Path(__file__).with_name("tlog") / "main.go"
GO_PATH = Path("/usr/share/gocode")
NAME = "example.com/registro"
SIZES = (1, 2, 255, 256, 257, 70_000)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Go program, compiled once, against the sources that Debian has."""
    go = need("go", package="golang-go", beside="/usr/local/go/bin")
    if not (GO_PATH / "src/golang.org/x/mod/sumdb").is_dir():
        lack("golang.org/x/mod", "golang-golang-x-mod-dev")
    made = tmp_path_factory.mktemp("go")
    environ = {**os.environ, "GO111MODULE": "off", "GOPATH": str(GO_PATH)}
    subprocess.run([go, "build", "-o", made / "tlog", SOURCE], check=True, env=environ, timeout=300)
    return made / "tlog"


def run(program: Path, *arguments: object) -> str:
    return subprocess.run(
        [program, *map(str, arguments)], check=True, capture_output=True, text=True, timeout=60
    ).stdout


def made(folder: Path, count: int) -> tuple[str, bytes]:
    """A log of ours in files: its verifier key and root."""
    signer = NoteSigner(NAME, Ed25519PrivateKey.generate())
    tree, tiles = GrowingTree(), []
    for number in range(count):
        tiles += tree.extend([b"entry %d" % number])
    for name, content in [*tiles, *tree.partial()]:
        (folder / name.path).parent.mkdir(parents=True, exist_ok=True)
        (folder / name.path).write_bytes(content)
    note = signer.sign(SignedNote(Checkpoint(NAME, tree.size, tree.root()).render()))
    (folder / "checkpoint").write_bytes(note.render())
    return signer.verifier(ED25519).render(), tree.root()


@pytest.mark.parametrize("size", SIZES)
def test_go_proves_what_our_log_says_and_finds_the_same_proofs(
    size: int, program: Path, tmp_path: Path
) -> None:
    key, root = made(tmp_path, size)
    old, indices = (size + 1) // 2, sorted({0, size // 3, size - 1})
    theirs = json.loads(run(program, "check", tmp_path, key, size, old, *indices))
    subtrees = tile_subtrees(size, lambda name: (tmp_path / name.path).read_bytes())
    assert base64.b64decode(theirs["Root"]) == root == range_hash(0, size, subtrees)
    ours = [base64.b64encode(h).decode() for h in consistency_proof(old, size, subtrees)]
    assert (theirs["Consistency"] or []) == ours
    for index, found in zip(indices, theirs["Inclusion"], strict=True):
        proof = inclusion_proof(index, size, subtrees)
        assert (found or []) == [base64.b64encode(h).decode() for h in proof]


@pytest.mark.parametrize("size", SIZES)
def test_we_prove_what_a_log_of_go_says(size: int, program: Path, tmp_path: Path) -> None:
    key = parse_verifier_key(run(program, "make", tmp_path, NAME, size))
    checkpoint = verify_log(parse_note((tmp_path / "checkpoint").read_bytes()), key)
    assert (checkpoint.origin, checkpoint.size) == (NAME, size)

    def read(name: TileName) -> bytes:
        return (tmp_path / name.path).read_bytes()

    subtrees = tile_subtrees(size, read)
    assert range_hash(0, size, subtrees) == checkpoint.root == GrowingTree.load(size, read).root()
    for index in {0, size // 3, size - 1}:
        proof = inclusion_proof(index, size, subtrees)
        verify_inclusion(leaf_hash(b"entry %d" % index), index, size, checkpoint.root, proof)
    for old in {1, size // 2, size} - {0}:
        proof = consistency_proof(old, size, subtrees)
        verify_consistency(old, range_hash(0, old, subtrees), size, checkpoint.root, proof)
