"""The REST interface: sessions, objects, operations, runs, approvals and the log."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgpack
import pytest

from .conftest import Site, pandas, sales

ASKING = """schema = 1
default = "deny"
[modules]
host = ["pandas"]
guest = "stdlib"
[[rules]]
id = "look"
agent = "*"
object = "*"
effect = ["read", "compute", "reveal", "display"]
decide = "allow"
[[rules]]
id = "change"
agent = "*"
object = "*"
effect = ["mutate"]
decide = "ask"
"""


@pytest.fixture
def here(site: Site) -> Iterator[tuple[Any, str]]:
    """A client and the path of a session of its own."""
    with site.http() as http:
        path = "/v1/sessions/" + http.post("/v1/sessions", json={}).json()["id"]
        yield http, path
        http.delete(path)


def events(text: str) -> list[tuple[str, Any]]:
    """The events of a stream."""
    found = []
    for block in text.split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        if lines:
            kind, data = lines
            found.append((kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def test_a_session_grants_what_it_is_asked_to(site: Site):
    """By default all objects, else those named; an unknown name is told with those there are."""
    with site.http() as http:
        answer = http.post("/v1/sessions", json={"objects": ["numbers"]})
        assert answer.status_code == 201
        assert answer.json()["objects"] == ["numbers"]
        path = answer.headers["location"]
        assert http.get(f"{path}/objects/sales/describe").status_code == 404
        assert http.get(path).json()["agent"] == "agent"
        assert http.delete(path).status_code == 204
        assert http.get(path).status_code == 410
        answer = http.post("/v1/sessions", json={"objects": ["nope"]})
        assert answer.status_code == 404
        assert "numbers, sales" in answer.json()["detail"]


def test_an_object_is_described(here: tuple[Any, str]):
    """`describe` tells type, schema and what each member does; `ETag` is the version."""
    http, path = here
    answer = http.get(f"{path}/objects/sales/describe")
    told = answer.json()
    assert told["type"] == "pandas.DataFrame"
    assert told["schema"]["shape"] == [3, 3]
    assert told["members"]["sum"]["verdict"] == "allow"
    assert answer.headers["etag"].endswith('.1"')
    assert answer.headers["cache-control"] == "no-store"


def test_attributes_come_in_pages(here: tuple[Any, str]):
    """Pages of `attrs` together are the whole list, filtered by their beginning where that is asked."""
    http, path = here
    whole = http.get(f"{path}/objects/sales/attrs?limit=1000").json()
    pages, at = [], 0
    while at is not None:
        page = http.get(f"{path}/objects/sales/attrs?limit=50&offset={at}").json()
        pages += page["attrs"]
        at = page["next"]
    assert pages == whole["attrs"]
    assert whole["total"] == len(pages)
    assert {"amount", "groupby"} <= set(pages)
    chosen = http.get(f"{path}/objects/sales/attrs?match=gr").json()["attrs"]
    assert chosen == [name for name in pages if name.startswith("gr")]
    assert http.get(f"{path}/objects/sales/attrs?limit=x").status_code == 422
    assert http.get(f"{path}/objects/sales/attrs?limit=5000").status_code == 422


def test_an_attribute_is_a_value_or_a_reference(here: tuple[Any, str]):
    """What crosses comes as a value, the rest as a handle that further requests use, until it is given back."""
    http, path = here
    assert http.get(f"{path}/objects/sales/attrs/shape").json()["value"] == {"$tuple": [3, 3]}
    found = http.get(f"{path}/objects/sales/attrs/amount").json()["value"]
    assert found["type"] == "pandas.Series"
    handle = found["$ref"]
    assert http.get(f"{path}/objects/{handle}/attrs/size").json()["value"] == 3
    assert http.delete(f"{path}/objects/{handle}").status_code == 204
    assert http.get(f"{path}/objects/{handle}/attrs/size").status_code == 404
    answer = http.get(f"{path}/objects/sales/attrs/nope")
    assert (answer.status_code, answer.json()["code"]) == (404, "raised")
    assert http.get(f"{path}/objects/sales/attrs/_mgr").status_code == 403
    assert http.get(f"{path}/objects/nope/attrs/size").status_code == 404


def test_hidden_columns_are_absent(serve: Callable[..., Site]):
    """A hidden column is in no description, no list and no answer."""
    text = ASKING.replace("[modules]", '[objects.sales]\nhide = ["ssn"]\n[modules]')
    site = serve(text)
    with site.http() as http:
        path = "/v1/sessions/" + http.post("/v1/sessions", json={}).json()["id"]
        described = http.get(f"{path}/objects/sales/describe")
        assert described.json()["schema"]["shape"] == [3, 2]
        assert "ssn" not in described.text + http.get(f"{path}/objects/sales/attrs?limit=1000").text
        assert http.get(f"{path}/objects/sales/attrs/ssn").status_code == 404
        body = {"verb": "getitem", "target": "sales", "args": ["ssn"]}
        answer = http.post(f"{path}/operations", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "raised")


def test_labels_that_are_data_are_content(serve: Callable[..., Site]):
    """Columns that came out of cells are in no description and no list where content may not be revealed."""
    text = ASKING.replace('effect = ["read", "compute", "reveal", "display"]', 'effect = ["read", "compute"]')
    site = serve(text)
    with site.http() as http:
        path = "/v1/sessions/" + http.post("/v1/sessions", json={}).json()["id"]
        kwargs = {"index": "amount", "columns": "region", "values": "amount"}
        pivot = {"verb": "call", "target": "sales", "member": "pivot", "kwargs": kwargs}
        handle = http.post(f"{path}/operations", json=pivot).json()["result"]["$ref"]
        for asked in ("describe", "attrs?limit=1000", "attrs/columns"):
            answer = http.get(f"{path}/objects/{handle}/{asked}")
            assert "north" not in answer.text
            assert answer.status_code in (200, 403)
        assert http.get(f"{path}/objects/sales/describe").json()["schema"]["columns"][0]["name"] == "region"
        assert "amount" in http.get(f"{path}/objects/sales/attrs?limit=1000").json()["attrs"]


def test_one_operation(here: tuple[Any, str]):
    """A single operation gives its result; a refusal says effect and hint, a failure what was raised."""
    http, path = here
    done = http.post(f"{path}/operations", json={"verb": "call", "target": "numbers", "member": "index", "args": [2]})
    assert done.json() == {"result": 1}
    denied = http.post(
        f"{path}/operations", json={"verb": "call", "target": "sales", "member": "to_csv", "args": ["x"]}
    )
    assert denied.status_code == 403
    assert denied.json()["effect"] == "fs.write"
    assert denied.json()["hint"]
    raised = http.post(f"{path}/operations", json={"verb": "getitem", "target": "numbers", "args": [9]})
    assert (raised.status_code, raised.json()["code"]) == (422, "raised")


def test_a_batch_uses_its_own_results(here: tuple[Any, str]):
    """Later operations work on earlier results, as targets and as arguments at any depth."""
    http, path = here
    batch = [
        {"verb": "getitem", "target": "sales", "args": ["amount"]},
        {"verb": "compare", "target": {"$result": 0}, "member": "gt", "args": [15]},
        {"verb": "getitem", "target": "sales", "args": [{"$result": 1}]},
        {"verb": "call", "target": {"$result": 2}, "member": "assign", "kwargs": {"twice": {"$result": 0}}},
        {"verb": "getattr", "target": {"$result": 3}, "member": "shape"},
    ]
    answer = http.post(f"{path}/operations", json={"operations": batch}).json()
    assert len(answer["results"]) == 5
    assert answer["results"][4] == {"$tuple": [2, 4]}
    last = http.post(f"{path}/operations", json={"operations": batch, "results": "last"}).json()
    assert last["results"] == [{"$tuple": [2, 4]}]


def test_a_batch_ends_where_it_fails(here: tuple[Any, str]):
    """The first failure stops the rest and says which it was and what came before."""
    http, path = here
    batch = [
        {"verb": "call", "target": "numbers", "member": "copy"},
        {"verb": "call", "target": "numbers", "member": "nope"},
        {"verb": "call", "target": "numbers", "member": "append", "args": [4]},
    ]
    answer = http.post(f"{path}/operations", json={"operations": batch})
    assert answer.status_code == 403
    told = answer.json()
    assert told["at"] == 1
    assert len(told["results"]) == 1
    assert http.post(f"{path}/operations", json={"verb": "len", "target": "numbers"}).json() == {"result": 3}
    for wrong in ({"$result": 1}, {"$result": -1}, {"$ref": 12}, 12, None, [1], {"$name": "nope"}):
        answer = http.post(f"{path}/operations", json={"operations": [batch[0], {"verb": "len", "target": wrong}]})
        assert 400 <= answer.status_code < 500
        assert answer.json()["at"] == 1


def test_results_that_are_not_wanted_are_not_kept(site: Site, here: tuple[Any, str]):
    """With `results: last` the server holds nothing for the results before."""
    http, path = here
    batch = [{"verb": "call", "target": "sales", "member": "copy"}, {"verb": "len", "target": {"$result": 0}}]
    seat = site.seat(path.rpartition("/")[2])
    http.post(f"{path}/operations", json={"operations": batch, "results": "last"})
    assert seat.lanes.plain.handles == []
    http.post(f"{path}/operations", json={"operations": batch})
    assert len(seat.lanes.plain.handles) == 1


def test_a_version_can_be_expected(here: tuple[Any, str]):
    """`If-Match` of a version that is past is 412, for looks and for operations; the current one is served."""
    http, path = here
    tag = http.get(f"{path}/objects/numbers/attrs").headers["etag"]
    change = {"verb": "call", "target": "numbers", "member": "append", "args": [4]}
    undo = {"verb": "call", "target": "numbers", "member": "pop"}
    assert http.post(f"{path}/operations", json=change, headers={"if-match": tag}).status_code == 200
    answer = http.post(f"{path}/operations", json=change, headers={"if-match": tag})
    assert answer.status_code == 412
    assert answer.headers["etag"] != tag
    assert http.get(f"{path}/objects/numbers/describe", headers={"if-match": tag}).status_code == 412
    assert http.get(f"{path}/objects/numbers/describe", headers={"if-match": answer.headers["etag"]}).status_code == 200
    assert http.get(f"{path}/objects/numbers/describe", headers={"if-match": "*"}).status_code == 200
    assert http.post(f"{path}/operations", json=undo).json() == {"result": 4}


def test_msgpack_says_the_same(here: tuple[Any, str]):
    """Bodies and answers in msgpack hold what they hold in JSON, problems too."""
    http, path = here
    told = {"content-type": "application/msgpack", "accept": "application/msgpack"}
    body = {"verb": "getattr", "target": "sales", "member": "shape"}
    answer = http.post(f"{path}/operations", content=msgpack.packb(body), headers=told)
    assert answer.headers["content-type"] == "application/msgpack"
    assert msgpack.unpackb(answer.content) == http.post(f"{path}/operations", json=body).json()
    answer = http.get(f"{path}/objects/nope/attrs", headers=told)
    assert (answer.status_code, msgpack.unpackb(answer.content)["code"]) == (404, "unknown_object")


def test_a_run_streams_what_it_prints(here: tuple[Any, str]):
    """A run's output, displays and end come as events; names persist, and variables are objects afterwards."""
    http, path = here
    code = "import sys\nprint('out')\nprint('err', file=sys.stderr)\ntop = sales.groupby('region').amount.sum()\ntop"
    answer = http.post(f"{path}/run", json={"code": code})
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = events(answer.text)
    assert [kind for kind, _ in found] == ["stdout", "stderr", "done"]
    assert found[-1][1]["ok"] is True
    assert "north    40" in found[-1][1]["value"]
    names = {each["name"]: each["kind"] for each in http.get(f"{path}/objects").json()["objects"]}
    assert names == {"sales": "granted", "numbers": "granted", "top": "variable"}
    assert http.get(f"{path}/objects/top/attrs/size").json()["value"] == 2
    whole = http.post(
        f"{path}/run", json={"code": "print(len(top)); 1/0"}, headers={"accept": "application/json"}
    ).json()
    assert (whole["ok"], whole["stdout"], whole["error"]["type"]) == (False, "2\n", "ZeroDivisionError")


def test_a_run_ends_in_time(here: tuple[Any, str]):
    """A run that takes too long is ended, and its session goes on."""
    http, path = here
    done = events(http.post(f"{path}/run", json={"code": "while True: pass", "timeout": 0.5}).text)[-1]
    assert done[1]["error"]["type"] == "GuestTimeout"
    assert events(http.post(f"{path}/run", json={"code": "1 + 1"}).text)[-1][1]["value"] == "2"


def test_a_client_that_goes_away_ends_its_run(site: Site, here: tuple[Any, str]):
    """Closing the stream ends the code behind it, and the session is free again."""
    http, path = here
    with http.stream("POST", f"{path}/run", json={"code": "print('go', flush=True)\nwhile True: pass"}) as answer:
        assert next(answer.iter_lines()) == "event: stdout"
    assert events(http.post(f"{path}/run", json={"code": "1 + 1"}).text)[-1][1]["value"] == "2"


def test_a_busy_session_says_so(serve: Callable[..., Site]):
    """While code runs, another request waits for so long, then is told to come again."""
    site = serve(wait_seconds=0.2)
    with site.http() as http, site.http() as second:
        path = "/v1/sessions/" + http.post("/v1/sessions", json={}).json()["id"]
        with http.stream("POST", f"{path}/run", json={"code": "print(1, flush=True)\nwhile True: pass"}) as answer:
            lines = answer.iter_lines()
            assert next(lines) == "event: stdout"
            busy = second.get(f"{path}/objects/sales/describe")
            assert (busy.status_code, busy.json()["code"], busy.headers["retry-after"]) == (409, "busy", "1")


def test_a_person_is_asked_and_answers(serve: Callable[..., Site]):
    """A question comes on the stream and in the list; only the approver's token answers it, and the run goes on."""
    site = serve(ASKING)
    with site.http() as http, site.http("approver") as person:
        path = "/v1/sessions/" + http.post("/v1/sessions", json={}).json()["id"]
        found: list[tuple[str, Any]] = []

        def run() -> None:
            code = "sales['twice'] = sales.amount * 2\nsales.shape"
            found.extend(events(http.post(f"{path}/run", json={"code": code}).text))

        worker = threading.Thread(target=run)
        worker.start()
        waiting: list[Any] = []
        until = time.monotonic() + 20
        while not waiting and time.monotonic() < until:
            waiting = person.get("/v1/approvals").json()["approvals"]
            time.sleep(0.05)
        (question,) = waiting
        assert question["effect"] == "mutate"
        with site.http() as agent, site.http("other") as other:
            own = agent.get(f"/v1/approvals/{question['id']}").json()
            assert own["state"] == "pending"
            assert "changes" not in own
            assert agent.post(f"/v1/approvals/{question['id']}", json={"decision": "approve"}).status_code == 403
            assert other.get(f"/v1/approvals/{question['id']}").status_code == 404
            assert other.get("/v1/approvals").json()["approvals"] == []
        assert person.post(f"/v1/approvals/{question['id']}", json={"decision": "maybe"}).status_code == 422
        said = person.post(f"/v1/approvals/{question['id']}", json={"decision": "approve", "scope": "never"})
        assert said.json()["state"] == "approved"
        worker.join(20)
        assert [kind for kind, _ in found] == ["approval-pending", "approval", "done"]
        assert found[-1][1]["value"] == "(3, 4)"
        again = person.post(f"/v1/approvals/{question['id']}", json={"decision": "deny"})
        assert again.status_code == 409
        assert person.post("/v1/approvals/nope", json={"decision": "deny"}).status_code == 404
        assert person.get("/v1/approvals?state=all").json()["approvals"][0]["by"] == ["approver"]


def test_the_log_is_read_verified_and_proved(site: Site, here: tuple[Any, str]):
    """A reader asks for records, filtered and in pages, for the state of the log, and for one operation."""
    http, path = here
    session = path.rpartition("/")[2]
    http.get(f"{path}/objects/sales/attrs/shape")
    http.post(f"{path}/operations", json={"verb": "call", "target": "sales", "member": "to_csv", "args": ["x"]})
    site.plane.log.sync()
    with site.http("reader") as reader:
        found = reader.get("/v1/effects", params={"session": session, "kind": "effect"}).json()["records"]
        assert [record["verb"] for record in found] == ["getattr", "call"]
        assert {record["via"] for record in found} == {"http"}
        assert [record["verdict"] for record in found] == ["allow", "deny"]
        page = reader.get("/v1/effects", params={"session": session, "kind": "effect", "limit": 1}).json()
        rest = reader.get("/v1/effects", params={"session": session, "kind": "effect", "after": page["next"]}).json()
        assert page["records"] + rest["records"] == found
        assert reader.get(f"/v1/effects/{found[0]['op']}").json()["records"] == [found[0]]
        assert reader.get("/v1/effects/ffffffff-ffff").status_code == 404
        assert reader.get("/v1/effects/verify").json()["state"] == "clean"
        assert reader.get("/v1/effects/0/proof").text.startswith("c2sp.org/tlog-proof@v1")
        assert reader.get(f"/v1/effects/{10**9}/proof").status_code == 404
        assert reader.get("/v1/effects", params={"nope": "1"}).status_code == 422


def test_the_log_is_followed(site: Site, here: tuple[Any, str]):
    """Records come on a stream as they are written."""
    http, path = here
    with site.http("reader") as reader:
        wanted = {"session": path.rpartition("/")[2], "kind": "effect"}
        with reader.stream("GET", "/v1/effects", params=wanted, headers={"accept": "text/event-stream"}) as answer:
            http.get(f"{path}/objects/sales/attrs/shape")
            site.plane.log.sync()
            data = next(line for line in answer.iter_lines() if line.startswith("data: "))
        assert json.loads(data.removeprefix("data: "))["member"] == "shape"


def test_a_log_in_memory_cannot_be_asked(serve: Callable[..., Site]):
    """Where no log is on disk, the endpoints of the log say so."""
    with serve().http("reader") as reader:
        assert reader.get("/v1/effects").status_code == 503


def test_the_description_is_true(site: Site):
    """Every route is in the OpenAPI document with its method, and the page shows each."""
    with site.http() as http:
        document, page = http.get("/openapi.json").json(), http.get("/docs")
    told = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert {("POST", "/v1/sessions/{s}/run"), ("GET", "/api/sessions"), ("PATCH", "/notebooks/cells/{n}")} <= told
    for path, methods in document["paths"].items():
        for told_of in methods.values():
            assert told_of["summary"]
            for parameter in told_of["parameters"]:
                assert parameter["in"] != "path" or "{" + parameter["name"] + "}" in path
    references = set(json.dumps(document).split('"#/components/schemas/')[1:])
    assert {each.partition('"')[0] for each in references} <= set(document["components"]["schemas"])
    assert all(f"{method} {path}" in page.text for method, path in told)
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_handles_of_another_session_mean_nothing(site: Site):
    """A handle that one session was given is unknown in another of the same agent."""
    with site.http() as http:
        paths = ["/v1/sessions/" + http.post("/v1/sessions", json={}).json()["id"] for _ in range(2)]
        handle = http.get(f"{paths[0]}/objects/sales/attrs/amount").json()["value"]["$ref"]
        assert http.get(f"{paths[1]}/objects/{handle}/attrs/size").status_code == 404
        body = {"verb": "call", "target": "sales", "member": "equals", "args": [{"$ref": handle}]}
        assert http.post(f"{paths[1]}/operations", json=body).status_code == 404


def test_values_of_every_form_cross(serve: Callable[..., Site]):
    """What JSON has no form for goes there and back."""
    site = serve(objects={"box": [], "frame": sales(), "stamp": pandas.Timestamp("2026-01-02")})
    forms = [
        1, 1.5, "a", True, None, 2**80, -(2**70), {"$float": "inf"}, {"$bytes": "AAE="}, {"$complex": [1.0, 2.0]},
        {"$date": "2026-01-31"}, {"$datetime": "2026-01-31T01:02:03+00:00"}, {"$time": "01:02:03"},
        {"$timedelta": [1, 2, 3]}, {"$decimal": "1.50"}, {"$uuid": "12345678-1234-5678-1234-567812345678"},
        {"$range": [1, 9, 2]}, {"$pattern": ["^a", 32]}, {"$tuple": [1, {"$tuple": []}]}, {"$frozenset": [3]},
    ]  # fmt: skip
    with site.http() as http:
        path = "/v1/sessions/" + http.post("/v1/sessions", json={}).json()["id"]
        for form in forms:
            add = {"verb": "call", "target": "box", "member": "append", "args": [form]}
            back = {"verb": "getitem", "target": "box", "args": [-1]}
            answer = http.post(f"{path}/operations", json={"operations": [add, back]})
            assert answer.json()["results"][1] == form, form
        for wrong in ({"$date": "x"}, {"$nope": 1}, {"$tuple": 1}, {"$bytes": "?"}, {"$complex": [1]}, {"$ref": "x"}):
            add = {"verb": "call", "target": "box", "member": "append", "args": [wrong]}
            assert http.post(f"{path}/operations", json=add).status_code == 400
