import asyncio

import pytest
from starlette.routing import Route

from llm_assets.stages.serving.guard import Budget, KeyGuard
from llm_assets.stages.serving.requests import ApiError
from tests.stages.serving.conftest import CHAT, KEY, OTHER_KEY, call

SPELLINGS = ("{}", "/{}", "{}/", "{}//", "/./{}", "/x/../{}", "{}?key=1", "{}#x", "{};x", "{}\x00")


def spellings(path):
    yield from (spelling.format(path) for spelling in SPELLINGS)
    yield path.upper()
    yield path.title()


def routes(gateway):
    return [route for route in gateway.app([KEY]).app.routes if isinstance(route, Route)]


@pytest.mark.parametrize("key", [None, "", "wrong", KEY[:-1], KEY + "x", KEY.upper()])
def test_no_route_answers_without_the_key_however_it_is_spelt(desk, key):
    """Case B44: the route table is walked, with other spellings and methods; the same error body everywhere."""
    made = desk.open()
    paths = {path for route in routes(made.gateway) for path in spellings(route.path.replace("{model_id}", "small"))}
    paths |= {"/metrics", "/docs", "/openapi.json", "/tokenize", "/invocations", "/completion", "/props", "/"}
    assert len(routes(made.gateway)) >= 5

    async def walk():
        for path in sorted(paths - {"/health"}):
            for method in ("GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE"):
                answer = await call(made.app, method, path, CHAT, key=key)
                assert answer.status == 401, (method, path)
                assert answer.error["code"] == "invalid_api_key"
                assert answer.headers["www-authenticate"] == "Bearer"

    asyncio.run(walk())
    assert made.engine.sent == []


def test_health_alone_is_open_and_only_to_reading(desk):
    """Case B44: the allow-list is one path, spelt one way."""
    made = desk.open()
    assert desk.ask(made.app, "/health", method="GET", key=None).status == 200
    for method, path in (
        ("POST", "/health"),
        ("GET", "/health/"),
        ("GET", "//health"),
        ("GET", "/Health"),
        ("GET", "/health/x"),
    ):
        assert desk.ask(made.app, path, method=method, key=None).status == 401


@pytest.mark.parametrize(
    "headers",
    [
        [(b"authorization", f"Basic {KEY}".encode())],
        [(b"authorization", KEY.encode())],
        [(b"authorization", f"Bearer {KEY}".encode()), (b"authorization", b"Bearer wrong")],
        [(b"x-api-key", KEY.encode())],
        [(b"authorization", "Bearer ключ".encode())],
    ],
)
def test_a_key_counts_only_as_the_one_bearer(desk, headers):
    made = desk.open()
    assert desk.ask(made.app, "/v1/models", method="GET", key=None, headers=headers).status == 401


def test_every_known_key_gets_in(desk):
    made = desk.open()
    for key in (KEY, OTHER_KEY):
        assert desk.ask(made.app, "/v1/models", method="GET", key=key).status == 200


def test_a_websocket_is_closed_before_it_opens():
    sent = []

    async def app(scope, receive, send):
        raise AssertionError("the inner app was reached")

    async def send(message):
        sent.append(message)

    asyncio.run(KeyGuard(app, [KEY])({"type": "websocket", "path": "/", "headers": []}, None, send))
    assert sent[0]["type"] == "websocket.close"


def test_a_gateway_without_keys_does_not_start():
    with pytest.raises(ValueError, match="at least one API key"):
        KeyGuard(None, [])


def test_the_second_request_of_a_budget_of_one_is_refused_under_any_name(desk):
    """Case B45: alias and full name count on one counter."""
    made = desk.open(requests_per_key=1)
    assert desk.ask(made.app, body={**CHAT, "model": "small"}).status == 200
    for model in ("small", "small-model-q4_0"):
        answer = desk.ask(made.app, body={**CHAT, "model": model})
        assert answer.status == 429 and answer.error["code"] == "insufficient_quota"
    assert desk.ask(made.app, "/v1/completions", {"prompt": "x"}).status == 429
    assert len(made.engine.sent) == 1


def test_twenty_parallel_requests_can_not_overshoot_a_budget(desk):
    """Case B45: booking and refusing are one step of one counter; another key has its own."""

    async def storm():
        made = desk.open(requests_per_key=3, parallel=20)
        names = ["small", "small-model-q4_0"] * 10
        answers = await asyncio.gather(*(call(made.app, "POST", "/v1/chat/completions", {**CHAT, "model": n}) for n in names))
        other = await call(made.app, "POST", "/v1/chat/completions", CHAT, key=OTHER_KEY)
        return made, [answer.status for answer in answers], other.status

    made, statuses, other = asyncio.run(storm())
    assert sorted(statuses) == [200] * 3 + [429] * 17 and other == 200
    assert len(made.engine.sent) == 4


def test_a_request_that_the_model_never_saw_costs_nothing(desk):
    made = desk.open(requests_per_key=1)
    assert desk.ask(made.app, body={"messages": []}).status == 400
    assert desk.ask(made.app, body={**CHAT, "model": "other"}).status == 404
    assert desk.ask(made.app).status == 200


def test_a_refund_gives_back_one_request():
    budget = Budget(1)
    budget.book(b"k")
    with pytest.raises(ApiError, match="budget of 1 requests is spent"):
        budget.book(b"k")
    budget.refund(b"k")
    budget.book(b"k")
