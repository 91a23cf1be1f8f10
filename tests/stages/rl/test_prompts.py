"""Which prompts a round sees."""

from types import SimpleNamespace

from llm_assets.lm import chat
from llm_assets.stages.rl import prompts


def examples(count: int) -> list[prompts.Example]:
    return [prompts.Example(str(n), "", "summarise", "", "", [n], [3]) for n in range(count)]


def test_prompt_and_answer_are_the_chat(world: SimpleNamespace) -> None:
    dataset = world.inputs.one("instruction_dataset")
    found, too_long = prompts.load(dataset, "test", world.tokenizer, max_prompt_tokens=99, max_answer_tokens=99)
    assert (len(found), too_long) == (16, 0)
    for example in found:
        messages = [{"role": "user", "content": example.prompt}, {"role": "assistant", "content": example.reference}]
        whole = chat.encode(world.tokenizer, messages).ids
        assert whole[: len(example.prompt_ids) + len(example.answer_ids)] == [*example.prompt_ids, *example.answer_ids]
        assert example.answer_ids[-1] == 3


def test_long_ones_and_other_tasks_are_left_out(world: SimpleNamespace) -> None:
    dataset = world.inputs.one("instruction_dataset")
    limits = {"max_prompt_tokens": 20, "max_answer_tokens": 99}
    found, too_long = prompts.load(dataset, "test", world.tokenizer, tasks=["summarise"], **limits)
    assert {example.task for example in found} == {"summarise"}
    assert too_long > 0
    assert len(found) + too_long == 12


def test_rounds_walk_through_all_before_any_returns() -> None:
    pool = examples(10)
    seen = [example.id for iteration in range(1, 6) for example in prompts.round_examples(pool, 4, iteration, seed=7)]
    assert sorted(seen[:10]) == sorted(seen[10:]) == sorted(example.id for example in pool)
    assert seen[:10] != seen[10:]
    assert [e.id for e in prompts.round_examples(pool, 4, 3, seed=7)] == seen[8:12]


def test_a_round_larger_than_the_pool_repeats() -> None:
    found = prompts.round_examples(examples(3), 7, 2, seed=1)
    assert len(found) == 7
    assert {example.id for example in found} == {"0", "1", "2"}


def test_draw_is_without_repetition() -> None:
    found = prompts.draw(examples(10), 6, seed=1)
    assert len({example.id for example in found}) == 6
    assert found == prompts.draw(examples(10), 6, seed=1)
    assert len(prompts.draw(examples(3), 6, seed=1)) == 3
