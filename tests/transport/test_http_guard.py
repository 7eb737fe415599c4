"""What every request passes: token, role, host, origin, size, rate, the life of its session."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proxyplane.transport.client import RemoteSession
from proxyplane.transport.http.guard import hosts_of

from .conftest import SECRETS, Site, httpx

ENDPOINTS = [
    ("GET", "/v1/sessions", "agent approver reader"),
    ("POST", "/v1/sessions", "agent"),
    ("GET", "/v1/sessions/{s}", "agent"),
    ("DELETE", "/v1/sessions/{s}", "agent"),
    ("GET", "/v1/sessions/{s}/notebook", "agent"),
    ("GET", "/v1/sessions/{s}/objects", "agent"),
    ("DELETE", "/v1/sessions/{s}/objects/1", "agent"),
    ("GET", "/v1/sessions/{s}/objects/sales/describe", "agent"),
    ("GET", "/v1/sessions/{s}/objects/sales/attrs", "agent"),
    ("GET", "/v1/sessions/{s}/objects/sales/attrs/shape", "agent"),
    ("POST", "/v1/sessions/{s}/operations", "agent"),
    ("POST", "/v1/sessions/{s}/run", "agent"),
    ("GET", "/v1/approvals", "agent approver"),
    ("GET", "/v1/approvals/x", "agent approver"),
    ("POST", "/v1/approvals/x", "approver"),
    ("GET", "/v1/effects", "approver reader"),
    ("GET", "/v1/effects/verify", "approver reader"),
    ("GET", "/v1/effects/0/proof", "approver reader"),
    ("GET", "/v1/effects/01234567", "approver reader"),
    ("GET", "/api/sessions", "agent"),
    ("POST", "/api/kernel/execute", "agent"),
    ("GET", "/notebooks/cells", "agent"),
    ("POST", "/notebooks/cells", "agent"),
    ("PATCH", "/notebooks/cells/0", "agent"),
    ("DELETE", "/notebooks/cells/0", "agent"),
    ("POST", "/notebooks/cells/0/run", "agent"),
]
WITH_SESSION = [(method, path) for method, path, _ in ENDPOINTS if "{s}" in path]
WITH_BODY = [
    ("POST", "/v1/sessions"), ("POST", "/v1/sessions/{s}/operations"), ("POST", "/v1/sessions/{s}/run"),
    ("POST", "/api/kernel/execute"), ("POST", "/notebooks/cells"), ("PATCH", "/notebooks/cells/0"),
]  # fmt: skip
MALFORMED = [
    (b"{oops", "application/json"),
    (b"\xc1", "application/msgpack"),
    (b"x", "text/csv"),
    (b"[" * 100_000, "application/json"),
    (b'{"code": 7}', "application/json"),
    (b'"text"', "application/json"),
    (b'{"sekret": 1, "code": 1}', "application/json"),
]


def first(role: str) -> str:
    return role.split(maxsplit=1)[0]


@pytest.mark.parametrize(("method", "path", "roles"), ENDPOINTS)
def test_without_a_token_nothing_is_answered(site: Site, method: str, path: str, roles: str):
    """Every endpoint answers 401 without a token, with a wrong one and with a token in the wrong place."""
    with site.http(None) as http:
        path = path.format(s="s-1")
        for headers in ({}, {"authorization": "Bearer nobody"}, {"authorization": f"Digest {SECRETS['agent']}"}):
            answer = http.request(method, path, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert answer.headers["content-type"] == "application/problem+json"
        assert http.request(method, path, params={"access_token": SECRETS[first(roles)]}).status_code == 401


@pytest.mark.parametrize(("method", "path", "roles"), ENDPOINTS)
def test_a_token_of_another_role_is_refused(site: Site, method: str, path: str, roles: str):
    """Every endpoint answers 403 to each role that it is not for."""
    for role in {"agent", "approver", "reader"} - set(roles.split()):
        with site.http(role) as http:
            answer = http.request(method, path.format(s="s-1"))
            assert (answer.status_code, answer.json()["code"]) == (403, "wrong_role")


OPEN = [("GET", "/health", "agent"), ("GET", "/docs", "agent"), ("GET", "/openapi.json", "agent")]


@pytest.mark.parametrize(("method", "path", "roles"), [*ENDPOINTS, *OPEN])
def test_pages_of_other_sites_are_refused(site: Site, method: str, path: str, roles: str):
    """Every endpoint refuses a foreign Origin, and a Host that is not the server's, whatever the token."""
    with site.http(first(roles)) as http:
        path = path.format(s="s-1")
        answer = http.request(method, path, headers={"origin": "https://example.org"})
        assert (answer.status_code, answer.json()["code"]) == (403, "origin")
        answer = http.request(method, path, headers={"host": "rebound.example.org"})
        assert (answer.status_code, answer.json()["code"]) == (421, "host")
        assert "access-control-allow-origin" not in answer.headers


def test_the_servers_own_page_may_ask(site: Site):
    """A request that says it comes from the server itself is served; a preflight is not."""
    with site.http() as http:
        assert http.get("/v1/sessions", headers={"origin": site.url}).status_code == 200
        assert http.options("/v1/sessions", headers={"origin": "https://example.org"}).status_code == 405


@pytest.mark.parametrize(("method", "path"), WITH_SESSION)
def test_an_expired_session_says_so(site: Site, method: str, path: str):
    """Every endpoint of a session that was unused for too long answers 410."""
    with site.http() as http:
        identifier = http.post("/v1/sessions", json={}).json()["id"]
        site.seat(identifier).used -= 10**18
        assert identifier in site.served.roster.sweep()
        answer = http.request(method, path.format(s=identifier))
        assert (answer.status_code, answer.json()["code"]) == (410, "expired")


@pytest.mark.parametrize(("method", "path"), WITH_SESSION)
def test_sessions_of_others_do_not_exist(site: Site, session: RemoteSession, method: str, path: str):
    """Another agent's session is answered as one that never was."""
    with site.http("other") as http:
        answer = http.request(method, path.format(s=session.id))
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_session")
    assert session.get_attr("sales", "shape") == (3, 3)


@pytest.mark.parametrize(("method", "path"), WITH_BODY)
def test_a_body_that_is_too_large_is_not_read(site: Site, session: RemoteSession, method: str, path: str):
    """Every endpoint with a body answers 413 to one beyond the limit, told or streamed."""
    with site.http(**{"Marimo-Session-Id": session.id}) as http:
        most = site.served.guard.rules.body_bytes
        path = path.format(s=session.id)
        assert http.request(method, path, content=b" " * (most + 1)).status_code == 413
        parts = (b" " * (1 << 16) for _ in range((most >> 16) + 2))
        assert http.request(method, path, content=parts).status_code == 413


@pytest.mark.parametrize(("method", "path"), WITH_BODY)
def test_a_body_that_is_none_is_told(site: Site, session: RemoteSession, method: str, path: str):
    """Malformed JSON and msgpack, unknown types and unknown members are 4xx with a reason, and repeat no content."""
    with site.http(**{"Marimo-Session-Id": session.id}) as http:
        path = path.format(s=session.id)
        for content, kind in MALFORMED:
            answer = http.request(method, path, content=content, headers={"content-type": kind})
            assert answer.status_code in (400, 415, 422), (content[:20], answer.text)
            assert answer.json()["detail"]


def test_too_many_requests_are_told_to_wait(serve: Callable[..., Site]):
    """Beyond the rate a principal gets 429 with Retry-After; another principal does not."""
    site = serve(requests_per_second=2.0)
    with site.http() as http, site.http("other") as other:
        codes = [http.get("/v1/sessions").status_code for _ in range(8)]
        assert codes[:4] == [200] * 4
        assert codes[-1] == 429
        answer = http.get("/v1/sessions")
        assert int(answer.headers["retry-after"]) >= 1
        assert other.get("/v1/sessions").status_code == 200


def test_a_principal_has_so_many_sessions(serve: Callable[..., Site]):
    """One more session than allowed is refused, until one is closed."""
    site = serve(sessions=2)
    with site.http() as http:
        ids = [http.post("/v1/sessions", json={}).json()["id"] for _ in range(2)]
        answer = http.post("/v1/sessions", json={})
        assert (answer.status_code, answer.json()["code"]) == (429, "too_many_sessions")
        assert http.delete(f"/v1/sessions/{ids[0]}").status_code == 204
        assert http.post("/v1/sessions", json={}).status_code == 201


def test_what_is_not_there_is_a_problem(site: Site):
    """Unknown paths and methods are problem documents too."""
    with site.http() as http:
        assert http.get("/nope").json()["status"] == 404
        assert http.put("/v1/sessions").json()["status"] == 405


def test_basic_carries_the_token_as_its_password(site: Site):
    """Clients that know only Basic send the token as the password."""
    with httpx.Client(base_url=site.url, auth=("any", SECRETS["agent"]), trust_env=False) as http:
        assert http.get("/v1/sessions").status_code == 200


@pytest.mark.parametrize(
    ("host", "port", "more", "good", "bad"),
    [
        ("127.0.0.1", 81, (), "localhost:81", "localhost"),
        ("127.0.0.1", 80, (), "localhost", "example.org"),
        ("::1", 81, (), "[::1]:81", "[::1]:82"),
        ("10.0.0.5", 81, (), "10.0.0.5:81", "localhost:81"),
        ("0.0.0.0", 81, ("Data.example.org",), "data.example.org:81", "example.org:81"),
        ("0.0.0.0", 81, ("d.example.org:443",), "d.example.org:443", "d.example.org:81"),
    ],
)
def test_names_of_the_server(host: str, port: int, more: tuple[str, ...], good: str, bad: str):
    """A server goes by what it is bound to, by loopback names where that is meant, and by names it is given."""
    names = hosts_of(host, port, more)
    assert good in names
    assert bad not in names
