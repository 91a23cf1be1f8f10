"""A small encyclopedia with an evaluation suite: pages in the shape of deduped_shards, for the post-training stages."""

import json
import random
from pathlib import Path

from llm_assets.core import prompts
from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.jsonio import write_json
from llm_assets.core.progress import Silent
from llm_assets.core.recipe.post_training import InstructionDatasetConfig, PreferenceDatasetConfig
from llm_assets.stages.reward import preferences
from llm_assets.stages.sft import instructions
from tests.support import corpus

TOPICS = {
    "Arts": ["painter", "opera", "novel"],
    "Geography": ["river", "island", "harbour"],
    "Technology": ["engine", "loom", "lamp"],
}
ADJECTIVES = ["old", "large", "northern", "silent", "famous", "small", "golden", "broken"]
HELD_OUT_STRINGS = [("Toggle the side panel", "Afficher le panneau latéral")]
CONFIG = InstructionDatasetConfig(min_rows_per_task=5, min_rows_per_topic=5, max_string_words=6)
PREFERENCES = PreferenceDatasetConfig(min_pairs=40)


def article(number: int, **over: object) -> dict[str, object]:
    """The page of one made-up thing; number decides its name, topic, description and text."""
    rng = random.Random(f"article {number}")
    topic = sorted(TOPICS)[number % 3]
    name = "".join(rng.choice("bdfgklmnprst") + rng.choice("aeiou") for _ in range(4)).capitalize()
    description = (
        f"{rng.choice(ADJECTIVES)} {rng.choice(ADJECTIVES)} {rng.choice(TOPICS[topic])} of {rng.choice(ADJECTIVES)} fame"
    )
    tail = " ".join(f"{rng.choice(ADJECTIVES)} {''.join(rng.sample('abcdefghij', 4))}" for _ in range(6))
    text = f"{name} is a {description} and {tail}"
    values = {"title": name, "description": description.capitalize(), "section": topic}
    return corpus.row(f"http://a.test/en/{name.lower()}", str(over.pop("text", text)), **(values | over))


def suite(folder: Path, held_out: list[dict[str, object]]) -> Path:
    """An eval_suite of these pages, and one interface string."""
    tasks: dict[str, list[dict[str, object]]] = {"topic": [], "describe": [], "perplexity": [], "translate": []}
    for number, page in enumerate(held_out):
        url = f"https://en.wikipedia.org/wiki/{page['title']}"
        common = {"text": page["text"], "url": url, "choices": []}
        tasks["topic"].append(
            {"item_id": f"t{number}", "prompt": prompts.topic_prompt(str(page["text"])), "reference": page["section"], **common}
        )
        tasks["describe"].append({"item_id": f"d{number}", "prompt": "", "reference": page["description"], **common})
        tasks["perplexity"].append({"item_id": f"p{number}", "prompt": "", "reference": page["text"], **common})
    for english, french in HELD_OUT_STRINGS:
        tasks["translate"].append(
            {"item_id": "x", "text": english, "prompt": "", "reference": french, "url": "", "choices": []}
        )
    (folder / "tasks").mkdir(parents=True)
    for task, items in tasks.items():
        (folder / f"tasks/{task}.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items), "utf-8")
    entries = {task: {"file": f"tasks/{task}.jsonl", "items": len(items)} for task, items in tasks.items()}
    write_json(folder / "suite.json", {"tasks": entries, "classes": sorted(TOPICS)})
    return folder


def world(root: Path, count: int = 240) -> dict[str, list[Path]]:
    """Folders of eval_suite, deduped_shards, instruction_dataset and preference_dataset."""
    held_out = [article(100_000 + number) for number in range(4)]
    folders = {
        "eval_suite": [suite(root / "suite/all", held_out)],
        "deduped_shards": [corpus.shards(root / "deduped/c1", [article(number) for number in range(count)], held_out)],
    }
    made = WorkDir.at(root / "instructions")
    instructions.run(Inputs.of(folders), made, CONFIG, Silent())
    folders["instruction_dataset"] = [made.files]
    pairs = WorkDir.at(root / "preferences")
    preferences.run(Inputs.of(folders), pairs, PREFERENCES, Silent())
    folders["preference_dataset"] = [pairs.files]
    return folders
