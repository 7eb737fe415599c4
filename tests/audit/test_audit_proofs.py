"""One record with its proof, the verifier in a single file, anchors, keys, and the second directory."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from proxyplane.audit import AuditLog, Proof, anchor, anchors, prove, read, standalone, verify
from proxyplane.audit.notes import PublicKey
from proxyplane.audit.record import Hashed
from proxyplane.errors import AuditCorrupt, AuditUnavailable

VERIFIER = Path(standalone.__file__)


def write(place: Path, count: int = 12, **options: object) -> PublicKey:
    """A closed log of so many records; its public key."""
    with AuditLog.open(place, **options) as log:
        for number in range(count):
            log.append({"kind": "effect", "verb": "call", "member": f"m{number}", "time": number, "span": b"\1" * 8})
    return PublicKey.parse((place / "log.pub").read_text().strip())


def alone(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The verifier in a single file, in an interpreter that has nothing but the standard library."""
    return subprocess.run(
        [sys.executable, "-I", "-S", str(VERIFIER), *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A closed log of several segments."""
    write(tmp_path / "log", segment_bytes=500)
    assert len(list((tmp_path / "log").glob("*.seg"))) > 1
    return tmp_path / "log"


def key_of(log: Path) -> str:
    """Its public key as a line."""
    return (log / "log.pub").read_text().strip()


def test_every_record_can_be_proved(log: Path) -> None:
    """The proof of each record, as text and back, holds and gives the record that is in the log."""
    key = PublicKey.parse(key_of(log))
    for record in read(log):
        proof = prove(log, record["seq"])
        assert Proof.parse(proof.text()) == proof
        assert proof.check(key) == record
    with pytest.raises(IndexError, match="records 0 to 11, not 12"):
        prove(log, 12)


def test_no_changed_proof_holds(log: Path) -> None:
    """A proof with any byte of its text changed is refused, or says the same."""
    key, text = PublicKey.parse(key_of(log)), prove(log, 5).text()
    for at in range(len(text)):
        changed = bytearray(text)
        changed[at] ^= 1
        try:
            found = Proof.parse(bytes(changed)).check(key)
        except (ValueError, AuditCorrupt):
            continue
        pytest.fail(f"byte {at} of the proof was changed and it holds: {found}")


def test_a_proof_needs_the_right_key_and_place(log: Path, tmp_path: Path) -> None:
    """Another log's key, another record, and another number do not fit a proof."""
    proof, other = prove(log, 5), write(tmp_path / "other")
    with pytest.raises(AuditCorrupt, match="not signed"):
        proof.check(other)
    key = PublicKey.parse(key_of(log))
    for wrong in (proof._replace(seq=4), proof._replace(payload=prove(log, 4).payload), proof._replace(path=())):
        with pytest.raises(AuditCorrupt, match="not in the tree"):
            wrong.check(key)


def test_a_changed_log_gives_no_proof(log: Path) -> None:
    """Records that are not those of the checkpoint cannot be proved."""
    shutil.rmtree(log / "keys")
    (log / "checkpoint").write_bytes((log / "checkpoint").read_bytes().replace(b"\n12\n", b"\n11\n"))
    with pytest.raises(AuditCorrupt, match="not those"):
        prove(log, 3)


def test_the_single_file_agrees(log: Path, tmp_path: Path) -> None:
    """The verifier without the plane accepts log and proof, prints the record, and wants a key for proofs."""
    ran = alone("log", str(log), "--key", key_of(log))
    assert (ran.returncode, ran.stdout.split()[:3]) == (0, ["clean:", "12", "records,"])
    assert verify(log).root in ran.stdout
    (tmp_path / "proof").write_bytes(prove(log, 7).text())
    ran = alone("proof", str(tmp_path / "proof"), "--key", key_of(log))
    shown = json.loads(ran.stdout)
    assert {key: shown[key] for key in ("seq", "member", "span")} == {"seq": 7, "member": "m7", "span": "01" * 8}
    assert alone("proof", str(tmp_path / "proof")).returncode == 2
    assert alone("log", str(tmp_path / "missing")).returncode == 1


def test_the_single_file_refuses_what_verify_refuses(tmp_path: Path) -> None:
    """Every byte of a small log's segment and checkpoint flipped, one at a time: neither verifier is content."""
    log = tmp_path / "log"
    write(log, 2)
    for name in ("00000001.seg", "checkpoint", "log.pub"):
        data = (log / name).read_bytes()
        for at in range(len(data)):
            changed = bytearray(data)
            changed[at] ^= 4
            (log / name).write_bytes(changed)
            assert standalone.main(["log", str(log)]) == 1, f"{name} byte {at}"
            assert verify(log).exit_code == 1, f"{name} byte {at}"
        (log / name).write_bytes(data)
    assert standalone.main(["log", str(log)]) == 0


def test_the_single_file_checks_signatures_by_the_rfc() -> None:
    """The test vectors of RFC 8032 hold, and with one bit changed they do not."""
    for public, message, signature in (
        (
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
    ):
        key, text, signed = bytes.fromhex(public), bytes.fromhex(message), bytearray.fromhex(signature)
        assert standalone.signed(key, text, bytes(signed))
        assert not standalone.signed(key, text + b"x", bytes(signed))
        signed[3] ^= 1
        assert not standalone.signed(key, text, bytes(signed))
    assert not standalone.signed(b"\xff" * 32, b"", bytes(64))


def test_the_single_file_imports_nothing_of_the_plane() -> None:
    """It names no module but those of the standard library."""
    words = [line.split()[1] for line in VERIFIER.read_text().splitlines() if line.startswith(("import ", "from "))]
    assert {word.partition(".")[0] for word in words} <= set(sys.stdlib_module_names)


# ---- anchors


def test_an_anchored_log_says_so(tmp_path: Path) -> None:
    """With every record anchored the verdict is `anchored`, else it names the first record nobody else vouches for."""
    log, place = tmp_path / "log", tmp_path / "anchor"
    write(log, anchors=[place])
    assert str(verify(log, anchors=[place])) == "clean anchored; 12 records, 1 segment"
    write(log, 3)
    assert str(verify(log, anchors=[place])).startswith("clean unanchored since 12; 15 records")
    anchor(log, place)
    assert str(verify(log, anchors=[place])).startswith("clean anchored; 15 records")
    assert str(verify(log)).startswith("clean unanchored since 0; 15 records")


def test_a_cut_and_a_rewritten_log_are_seen_by_an_anchor(tmp_path: Path) -> None:
    """What the log's own files cannot show, an older copy put back or another history, an anchor does."""
    log, place = tmp_path / "log", tmp_path / "anchor"
    write(log, 4)
    shutil.copytree(log, tmp_path / "old")
    write(log, 4, anchors=[place])
    assert verify(tmp_path / "old").state == "clean"
    assert verify(tmp_path / "old", anchors=[place]).state == "rolled-back"
    with AuditLog.open(tmp_path / "old") as log_again:
        for _ in range(9):
            log_again.append({"kind": "effect", "member": "another history"})
    verdict = verify(tmp_path / "old", anchors=[place])
    assert (verify(tmp_path / "old").state, verdict.state, verdict.exit_code) == ("clean", "forked", 1)


def test_an_anchor_keeps_the_key(tmp_path: Path) -> None:
    """A log that was made anew under the same name and another key is `bad-signature` to its anchor."""
    log, place = tmp_path / "log", tmp_path / "anchor"
    old = write(log, 4, anchors=[place])
    shutil.rmtree(log)
    log.mkdir(mode=0o700)
    (log / "keys").mkdir(mode=0o700)
    for name, data in (("ed25519", b"\5" * 32), ("hmac", b"\6" * 32)):
        handle = os.open(log / "keys" / name, os.O_CREAT | os.O_WRONLY, 0o600)
        os.write(handle, data)
        os.close(handle)
    from proxyplane.audit.keys import Signer

    forged = Signer(old.name, b"\5" * 32, b"\6" * 32)
    (log / "log.pub").write_text(forged.public.line() + "\n")
    write(log, 4)
    assert verify(log).state == "clean"
    assert verify(log, anchors=[place]).state == "bad-signature"
    assert verify(log, key=old.line()).state == "bad-signature"
    with pytest.raises(ValueError, match="another key"):
        anchor(log, place)


def test_an_anchor_never_replaces_what_it_has(tmp_path: Path) -> None:
    """A second state of the same size is refused, the same one is no news, and two logs may share an anchor."""
    log, place = tmp_path / "log", tmp_path / "anchor"
    write(log, 4)
    shutil.copytree(log, tmp_path / "twin")
    write(log, 4)
    write(tmp_path / "twin", 4)
    note = anchor(log, place)
    assert anchor(log, place) == note
    with AuditLog.open(tmp_path / "twin") as twin:
        twin.append({"kind": "effect", "member": "other"})
    with AuditLog.open(log) as first:
        first.append({"kind": "effect"})
    anchor(log, place)
    with pytest.raises(ValueError, match="another state"):
        anchor(tmp_path / "twin", place)
    write(tmp_path / "third", 2)
    anchor(tmp_path / "third", place)
    assert verify(log, anchors=[place]).anchor == verify(tmp_path / "third", anchors=[place]).anchor == "anchored"
    (log / "checkpoint").unlink()
    assert verify(log, anchors=[place]).state == "rolled-back"


def test_a_git_repository_is_an_anchor(tmp_path: Path) -> None:
    """In a git repository each new checkpoint is a commit."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    log, place = tmp_path / "log", tmp_path / "repository"
    subprocess.run(["git", "init", "-q", str(place)], check=True, timeout=30)
    for count in (3, 2):
        write(log, count)
        anchor(log, place)
        anchor(log, place)
    told = subprocess.run(
        ["git", "-C", str(place), "log", "--format=%s"], check=True, timeout=30, capture_output=True, text=True
    ).stdout.splitlines()
    assert [line.rpartition(": ")[2] for line in told] == ["5 records", "3 records"]
    assert verify(log, anchors=[place]).anchor == "anchored"


def test_an_anchor_that_is_gone_is_no_anchor(tmp_path: Path) -> None:
    """A missing anchor makes verify unreadable, not content; while writing it is told of and stops nothing."""
    log = tmp_path / "log"
    (tmp_path / "file").write_text("")
    with AuditLog.open(log, anchors=[tmp_path / "file"]) as opened:
        opened.append({"kind": "effect"})
    assert "file" in opened.anchor_problem or opened.anchor_problem
    assert verify(log).state == "clean"
    for wrong in (tmp_path / "file", tmp_path / "missing"):
        assert verify(log, anchors=[wrong]).state == "unreadable"
    place = tmp_path / "anchor"
    anchor(log, place)
    next(place.rglob("*.note")).write_bytes(b"damaged")
    assert verify(log, anchors=[place]).state == "unreadable"
    assert anchors.read_anchor(tmp_path) is not None


# ---- keys


def test_keys_may_lie_elsewhere(tmp_path: Path) -> None:
    """With a folder for the keys the audit directory has none, and the log goes on only with them."""
    log, place = tmp_path / "log", tmp_path / "secret"
    write(log, 2, keys=place)
    assert not (log / "keys").exists()
    with pytest.raises(AuditCorrupt, match="keys are missing"):
        AuditLog.open(log)
    write(log, 2, keys=place)
    assert (verify(log).state, verify(log).records) == ("clean", 4)
    (place / "ed25519").write_bytes(b"\1" * 32)
    with pytest.raises(AuditCorrupt, match="not those that"):
        AuditLog.open(log, keys=place)
    (place / "ed25519").chmod(0o644)
    with pytest.raises(AuditUnavailable, match="could read the log's keys"):
        AuditLog.open(log, keys=place)


def test_sensitive_texts_are_stored_as_keyed_hashes(tmp_path: Path) -> None:
    """A hashed text is nowhere on disk; equal ones have equal hashes in one log and others in another log."""
    found = []
    for name in ("one", "two"):
        with AuditLog.open(tmp_path / name) as log:
            for text in ("123-45-6789", "123-45-6789", "987-65-4321", "long " * 100):
                log.append({"kind": "effect", "args": [{"at": 0, "hmac": Hashed(text)}]})
        hashes = [record["args"][0]["hmac"] for record in read(tmp_path / name)]
        assert hashes[0] == hashes[1] != hashes[2]
        assert all(len(item) == 64 for item in hashes)
        assert verify(tmp_path / name).state == "clean"
        whole = b"".join(path.read_bytes() for path in (tmp_path / name).rglob("*") if path.is_file())
        assert b"123-45" not in whole
        assert b"long long" not in whole
        found.append(hashes[0])
    assert found[0] != found[1]
    with AuditLog.open(":memory:") as memory:
        memory.append({"kind": "effect", "args": [Hashed("a"), Hashed("a"), Hashed("b")]})
        first, second, third = next(memory.records())["args"]
    assert first == second != third


# ---- the second directory


def test_a_second_directory_has_every_byte(tmp_path: Path) -> None:
    """With a mirror both directories are the same log, also across openings; the keys are in one only."""
    first, second = tmp_path / "first", tmp_path / "second"
    for _ in range(2):
        write(first, 20, mirror=second, segment_bytes=900)
    for path in first.iterdir():
        if path.is_file():
            assert path.read_bytes() == (second / path.name).read_bytes()
    assert (verify(second).state, verify(second).records) == ("clean", 40)
    assert not (second / "keys").exists()


def test_a_second_directory_catches_up(tmp_path: Path) -> None:
    """A mirror that is new, or lacks the end, gets what is missing; one that holds another log is refused."""
    first, second, other = tmp_path / "first", tmp_path / "second", tmp_path / "other"
    write(first, 20, segment_bytes=900)
    write(first, 5, mirror=second)
    assert verify(second).records == 25
    last = sorted(second.glob("*.seg"))[-1]
    os.truncate(last, last.stat().st_size - 7)
    write(first, 5, mirror=second)
    assert (verify(first).records, verify(second).records, verify(second).state) == (30, 30, "clean")
    write(other, 3)
    with pytest.raises(AuditUnavailable, match="second directory"):
        AuditLog.open(first, mirror=other)
    with pytest.raises(AuditUnavailable, match="copy it back"):
        AuditLog.open(tmp_path / "empty", mirror=second)
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_second_directory_that_fails_closes_the_log(tmp_path: Path) -> None:
    """Nothing counts that only one of the two has."""
    log = AuditLog.open(tmp_path / "first", mirror=tmp_path / "second")
    log.append({"kind": "effect"})
    log.sync()
    shutil.rmtree(tmp_path / "second")
    log.append({"kind": "effect"})
    with pytest.raises(AuditUnavailable):
        log.sync()
    with pytest.raises(AuditUnavailable):
        log.close()


def test_base64_variants_do_not_slip_through(log: Path) -> None:
    """A proof whose base64 is padded or wrapped in another way is not read as the same."""
    text = prove(log, 1).text()
    line = text.split(b"\n")[1]
    with pytest.raises(ValueError):
        Proof.parse(text.replace(line, line + b"===="))
    assert base64.b64decode(line[6:], validate=True) == prove(log, 1).payload
