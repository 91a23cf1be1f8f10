import asyncio

import httpx
import orjson
import pytest

from llm_assets.stages.serving.upstream import LlamaCpp, Sampling, UpstreamError, request_body


def engine(handler):
    """llama.cpp's client over answers made here, as its server would send them."""
    made = LlamaCpp("http://engine.test", "key", 512, 5.0)
    made._client = httpx.AsyncClient(base_url=made.url, transport=httpx.MockTransport(handler))
    return made


def answer(made):
    async def collect():
        pieces = [piece async for piece in made.stream([1, 2], Sampling(8))]
        await made.close()
        return pieces

    return asyncio.run(collect())


def events(*rows):
    body = b"".join(b"data: " + orjson.dumps(row) + b"\n\n" for row in rows)
    return lambda request: httpx.Response(200, content=body)


LAST = {"content": "", "stop": True, "stop_type": "limit", "tokens_evaluated": 2, "tokens_predicted": 1}


def test_pieces_come_as_sent_and_the_last_says_why():
    pieces = answer(engine(events({"content": "a", "stop": False}, LAST)))
    assert [(piece.text, piece.finish_reason) for piece in pieces] == [("a", ""), ("", "length")]
    assert (pieces[-1].prompt_tokens, pieces[-1].completion_tokens) == (2, 1)
    assert answer(engine(events({**LAST, "stop_type": "eos"})))[-1].finish_reason == "stop"


def test_the_distribution_is_the_models_own():
    """llama.cpp's defaults would cut it at 40 tokens and 5 %."""
    body = request_body([1, 2], Sampling(8, temperature=1.0, seed=4, stop=("x",)))
    assert body["prompt"] == [1, 2] and (body["top_k"], body["top_p"], body["min_p"]) == (0, 1.0, 0.0)
    assert (body["n_predict"], body["seed"], body["stop"]) == (8, 4, ["x"])


def raising(error):
    def handler(request):
        raise error

    return handler


@pytest.mark.parametrize(
    ("handler", "status", "said"),
    [
        (lambda request: httpx.Response(400, json={"error": {"message": "too long"}}), 400, "refused the request: too long"),
        (lambda request: httpx.Response(503, json={"error": {"message": "loading"}}), 503, "loading"),
        (lambda request: httpx.Response(500, content=b"\xffnot json"), 502, "not json"),
        (raising(httpx.ReadTimeout("slow")), 504, "too long for its next token"),
        (raising(httpx.ConnectError("refused")), 503, "can't be reached"),
        (events({"content": "a", "stop": False}), 502, "broke off before its end"),
        (events({"error": {"message": "out of memory"}}), 502, "out of memory"),
        (lambda request: httpx.Response(200, content=b"error: the slot died\n\n"), 502, "the slot died"),
    ],
)
def test_what_goes_wrong_has_a_status_and_a_sentence(handler, status, said):
    with pytest.raises(UpstreamError, match=said) as caught:
        answer(engine(handler))
    assert caught.value.status == status


def test_ready_is_a_question_that_never_raises():
    async def ask(handler):
        return await engine(handler).ready()

    assert asyncio.run(ask(lambda request: httpx.Response(200)))
    assert not asyncio.run(ask(lambda request: httpx.Response(503)))
    assert not asyncio.run(ask(raising(httpx.ConnectError("gone"))))
