from llm_assets.core import embedded
from llm_assets.core.artefact import Artefact
from llm_assets.lm import model_card


def test_a_card_names_what_the_model_was_made_from_and_whom_the_texts_are_owed_to(tmp_path):
    made_from = [Artefact("training_mix", "all", "abc", tmp_path)]
    path = model_card.write(
        tmp_path,
        "a model",
        "What it is.",
        made_from=made_from,
        training={"tokens": 4_096_000, "peak | rate": 0.02},
        figures={"bits per byte": 1.23456},
        languages=("en", "fr"),
    )
    text = path.read_text("utf-8")
    assert text.startswith("---\nlanguage:\n- en\n- fr\nlicense: cc-by-sa-4.0\n")
    assert "`training_mix/all/abc`" in text
    assert embedded.credit() in text
    assert "| tokens | 4,096,000 |" in text
    assert "| bits per byte | 1.235 |" in text
