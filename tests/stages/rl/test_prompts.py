"""Which prompts a round sees."""

from types import SimpleNamespace

from llm_assets.lm import chat
from llm_assets.stages.rl import prompts

ALL = prompts.Limits(99, 99)


def test_prompt_and_answer_are_the_chat(world: SimpleNamespace) -> None:
    dataset = world.inputs.one("instruction_dataset")
    found, too_long = prompts.load(dataset, "test", world.tokenizer, ALL, count=99, seed=1)
    assert (len(found), too_long) == (64, 0)
    for example in found:
        messages = [{"role": "user", "content": example.prompt}, {"role": "assistant", "content": example.reference}]
        whole = chat.encode(world.tokenizer, messages).ids
        assert whole[: len(example.prompt_ids) + len(example.answer_ids)] == [*example.prompt_ids, *example.answer_ids]
        assert example.answer_ids[-1] == 3


def test_long_ones_and_other_tasks_are_left_out(world: SimpleNamespace) -> None:
    dataset = world.inputs.one("instruction_dataset")
    limits = prompts.Limits(20, 99)
    found, too_long = prompts.load(dataset, "test", world.tokenizer, limits, count=99, seed=1, tasks=["summarise"])
    assert {example.task for example in found} == {"summarise"}
    assert all(len(example.prompt_ids) <= 20 for example in found)
    assert too_long > 0
    assert len(found) + too_long == 48


def test_the_seed_fixes_what_is_drawn_and_nothing_comes_twice(world: SimpleNamespace) -> None:
    dataset = world.inputs.one("instruction_dataset")
    few, _ = prompts.load(dataset, "train", world.tokenizer, ALL, count=10, seed=1)
    more, _ = prompts.load(dataset, "train", world.tokenizer, ALL, count=20, seed=1)
    other, _ = prompts.load(dataset, "train", world.tokenizer, ALL, count=10, seed=2)
    assert few == more[:10]
    assert few != other
    assert len({example.id for example in more}) == 20


def test_rounds_walk_through_all_before_any_returns() -> None:
    pool = [prompts.Example(str(number), "", "summarise", "", "", [number], [3]) for number in range(10)]
    seen = [example.id for iteration in range(1, 6) for example in prompts.round_examples(pool, 4, iteration)]
    assert seen == [example.id for example in pool] * 2
