import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_assets.core.recipe.release import DeploymentConfig
from llm_assets.stages.serving.requests import MAX_SEED, ApiError, parse

CONFIG = DeploymentConfig()
USER = {"role": "user", "content": "Hi"}


def chat(**fields):
    return parse(orjson.dumps({"messages": [USER], **fields}), CONFIG, chat=True)


def refusal(body, *, is_chat=True):
    with pytest.raises(ApiError) as caught:
        parse(body if isinstance(body, bytes) else orjson.dumps(body), CONFIG, chat=is_chat)
    assert caught.value.status == 400
    return caught.value


def test_everything_that_can_be_honoured_reaches_the_engine():
    ask = chat(
        model="m",
        max_tokens=7,
        temperature=0.5,
        top_p=0.9,
        seed=3,
        stop="END",
        frequency_penalty=1,
        presence_penalty=-1,
        stream=True,
    )
    sampling = ask.sampling
    assert (ask.model, ask.stream, sampling.max_tokens, sampling.seed, sampling.stop) == ("m", True, 7, 3, ("END",))
    assert (sampling.temperature, sampling.top_p, sampling.frequency_penalty, sampling.presence_penalty) == (0.5, 0.9, 1, -1)


def test_limits_come_from_the_recipe():
    assert chat().sampling.max_tokens == CONFIG.default_max_tokens
    assert chat(max_tokens=10**9).sampling.max_tokens == CONFIG.max_tokens
    assert chat(max_completion_tokens=5, max_tokens=9).sampling.max_tokens == 5
    assert chat().sampling.temperature == CONFIG.default_temperature


def test_without_a_seed_each_request_has_its_own():
    seeds = {chat().sampling.seed for _ in range(5)}
    assert len(seeds) == 5 and all(0 <= seed <= MAX_SEED for seed in seeds)


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"temperature": 3}, "temperature must be a number from 0 to 2; given: 3"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"max_tokens": 0}, "max_tokens must be a whole number at least 1"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**40}, "seed"),
        ({"stop": ["a"] * 5}, "stop must be a non-empty text or up to 4"),
        ({"stop": ""}, "stop"),
        ({"stop": ["a" * 201]}, "more than 200 characters"),
        ({"stream": "yes"}, "stream must be true or false"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"model": 3}, "model must be a text"),
        ({"n": 2}, "n is not supported"),
        ({"logprobs": True}, "logprobs is not supported"),
        ({"tools": [{}]}, "tools is not supported"),
        ({"response_format": {"type": "json_object"}}, "response_format is not supported"),
        ({"temprature": 1}, "did you mean 'temperature'"),
        ({"prompt": "x"}, "no such field: 'prompt'"),
    ],
)
def test_what_can_not_be_honoured_is_refused_by_name(fields, names):
    assert names in refusal({"messages": [USER], **fields}).message


def test_fields_that_change_nothing_are_taken():
    assert chat(user="me", metadata={}, n=1, logprobs=False, tools=[], response_format={"type": "text"}).messages


@pytest.mark.parametrize(
    ("messages", "names"),
    [
        ([], "at least one message"),
        ("Hi", "messages must be a list"),
        ([{"role": "tool", "content": "x"}], "messages[0].role must be one of system, user, assistant"),
        ([{"role": "user"}], "messages[0].content must be a text"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "messages[0].content"),
        ([{"role": "user", "content": []}], "messages[0].content"),
        ([USER, {"role": "user", "content": "x", "tool_calls": []}], "messages[1] has a field"),
        ([USER] * 65, "has 65 entries; at most 64"),
        (["x"], "messages[0] must be an object"),
    ],
)
def test_messages_are_checked_one_by_one(messages, names):
    assert names in refusal({"messages": messages}).message


def test_text_parts_are_joined():
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert (
        parse(orjson.dumps({"messages": [{"role": "user", "content": parts}]}), CONFIG, chat=True).messages[0]["content"]
        == "ab"
    )


@pytest.mark.parametrize("prompt", [None, "", ["a"], [3, 2], 5])
def test_a_prompt_is_one_text_and_never_ids(prompt):
    assert refusal({"prompt": prompt}, is_chat=False).param == "prompt"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"null", b"\xff", b"[" * 5000, b'{"messages": NaN}'])
def test_a_body_that_is_no_object_is_refused(body):
    assert refusal(body).code == "invalid_json"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["messages", "role", "content", "stop", "model", "stream", "text", "type"]), inner, max_size=4
            )
        ),
        max_leaves=12,
    )
)
def test_no_json_value_breaks_the_parser(value):
    try:
        parse(orjson.dumps(value), CONFIG, chat=True)
    except ApiError as error:
        assert error.status == 400 and orjson.loads(error.body())["error"]["message"]
