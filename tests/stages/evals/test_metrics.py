import math

import pytest
import sacrebleu

from llm_assets.stages.evals import metrics

REFERENCES = ["Ouvrir le fichier", "Fermer la fenêtre du terminal", "Copier"]
ANSWERS = ["Ouvrir le fichier", "Fermer le terminal", "Coller"]


def test_rouge_of_an_empty_answer_is_zero():
    figures, each = metrics.rouge(["a description"], [""], 0, 100)
    assert each == [0.0] and figures["rouge1"]["value"] == 0.0


def test_bleu_and_chrf_are_sacrebleus_and_carry_their_signatures():
    figures, each = metrics.translation(REFERENCES, ANSWERS, 0, 100)
    assert figures["bleu"]["value"] == pytest.approx(sacrebleu.corpus_bleu(ANSWERS, [REFERENCES]).score)
    assert figures["chrf"]["value"] == pytest.approx(sacrebleu.corpus_chrf(ANSWERS, [REFERENCES]).score)
    assert "tok:13a" in figures["bleu"]["signature"] and "nc:6" in figures["chrf"]["signature"]
    assert each[0] == pytest.approx(100.0) and each[2] < each[1] < 100


def test_the_interval_of_a_corpus_score_lies_around_it():
    figures, _ = metrics.translation(REFERENCES * 20, ANSWERS * 20, 0, 200)
    assert figures["chrf"]["low"] < figures["chrf"]["value"] < figures["chrf"]["high"]


def test_an_answer_that_is_no_class_is_wrong():
    figures, hits = metrics.classification(["a", "b"], ["a", "something else"], ["a", "b"], 0, 100)
    assert hits == [1.0, 0.0] and figures["accuracy"]["value"] == 0.5
    assert metrics.confusion(["a", "b"], ["a", "something else"], ["a", "b"]) == [[1, 0], [0, 0]]


def test_bits_per_byte_is_total_code_length_over_total_size():
    figures = metrics.bits_per_byte([math.log(2) * 8, math.log(2) * 24], [8, 8], [4, 4], 0, 100)
    assert figures["bits_per_byte"]["value"] == pytest.approx(2.0)
    assert figures["perplexity"]["value"] == pytest.approx(2 ** (32 / 8))


def test_a_text_without_a_probability_is_an_error():
    with pytest.raises(ValueError, match="no finite log-probability"):
        metrics.bits_per_byte([float("nan")], [8], [4], 0, 100)
