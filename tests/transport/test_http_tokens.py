"""Token files: made with the right mode, read only when nobody else can, roles kept apart."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the server is an extra")

from proxyplane.transport.http.tokens import Principal, TokenError, Tokens, load, made

AGENT, READER, APPROVER = Principal("a", "agent"), Principal("r", "reader"), Principal("p", "approver")


def secret_of(path: Path) -> str:
    return path.read_text().rpartition('secret = "')[2].partition('"')[0]


def test_a_file_is_made_once(tmp_path: Path):
    """A missing file is made for its owner alone, and read the next time with the same secrets."""
    path, first, second = tmp_path / "tokens.toml", Tokens(), Tokens()
    assert load(path, first, fresh=[AGENT, READER])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not load(path, second, fresh=[])
    secret = secret_of(path)
    assert first.find(secret) == second.find(secret) == READER
    assert first.find(secret + "x") is None
    assert first.find("") is None
    assert second.of("agent") == [AGENT]


def test_a_file_that_others_can_read_is_refused(tmp_path: Path):
    """Group or others with any right: the server does not start, and says what to do."""
    path = tmp_path / "tokens.toml"
    load(path, Tokens(), fresh=[AGENT])
    for mode in (0o640, 0o604, 0o620):
        path.chmod(mode)
        with pytest.raises(TokenError, match="chmod 600"):
            load(path, Tokens(), fresh=[])


def test_approvers_stand_apart(tmp_path: Path):
    """An approver's token in the agents' file is refused, and an agent's in the approvers'."""
    agents, approvers = tmp_path / "a", tmp_path / "p"
    load(agents, Tokens(), fresh=[AGENT])
    load(approvers, Tokens(), fresh=[APPROVER], approvers=True)
    assert load(approvers, known := Tokens(), fresh=[], approvers=True) is False
    assert known.of("approver") == [APPROVER]
    with pytest.raises(TokenError, match="approver"):
        load(approvers, Tokens(), fresh=[])
    with pytest.raises(TokenError, match="only approvers"):
        load(agents, Tokens(), fresh=[], approvers=True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "token = 1",
        "[[token]]\nrole = 'agent'",
        "[[token]]\nrole = 'king'\nprincipal = 'a'\nsecret = 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxx'",
        "[[token]]\nrole = 'agent'\nprincipal = 'a'\nsecret = 'short'",
        "[[token]]\nrole = 'agent'\nprincipal = ''\nsecret = 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxx'",
        "[[token]]\nrole = 'agent'\nprincipal = 'a'\nsecret = 7",
        "not toml",
        "x = 1\n[[token]]\nrole = 'agent'\nprincipal = 'a'\nsecret = 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxx'",
    ],
)
def test_what_is_no_token_file_is_told(tmp_path: Path, text: str):
    """Each mistake is an error that names the place and repeats no secret."""
    path = tmp_path / "tokens.toml"
    path.touch(0o600)
    path.write_text(text)
    with pytest.raises(TokenError) as told:
        load(path, Tokens(), fresh=[])
    assert "xxxxx" not in str(told.value)


def test_a_link_is_not_followed_where_a_file_is_made(tmp_path: Path):
    """A dangling link in place of the file makes no file elsewhere."""
    path = tmp_path / "tokens.toml"
    os.symlink(tmp_path / "elsewhere", path)
    with pytest.raises(OSError):
        load(path, Tokens(), fresh=[AGENT])
    assert not (tmp_path / "elsewhere").exists()


def test_secrets_are_long_and_differ():
    """Each new secret has 256 bits, and two principals never share one."""
    secrets = {made("agent") for _ in range(50)}
    assert len(secrets) == 50
    assert min(map(len, secrets)) >= 43
    known = Tokens()
    known.add(AGENT, secret := secrets.pop())
    with pytest.raises(TokenError):
        known.add(READER, secret)
