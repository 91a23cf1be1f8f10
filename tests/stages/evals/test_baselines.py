import pytest

from llm_assets.stages.evals import baselines


def test_naive_bayes_by_hand():
    model = baselines.NaiveBayes(["red red", "blue"], ["warm", "cold"])
    # Laplace over {blue, red}: P(red|warm) = 3/4, P(red|cold) = 1/3; priors are equal.
    assert model.predict("red") == "warm" and model.predict("blue sky") == "cold"
    assert baselines.NaiveBayes(["a", "a", "b"], ["x", "x", "y"]).predict("never seen") == "x"


def test_naive_bayes_without_texts_is_an_error():
    with pytest.raises(ValueError, match="at least one"):
        baselines.NaiveBayes([], [])


def test_majority_takes_the_first_name_where_counts_are_equal():
    assert baselines.majority(["b", "a", "b", "a", "c"]) == "a"


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("A quark is a type of elementary particle that feels all forces. It is small.", "type of elementary particle"),
        ("Marie Curie was a Polish physicist, who won two prizes.", "Polish physicist"),
        ("Birds of prey.", "Birds of prey"),
        ("Is.", "Is"),
        ("", ""),
    ],
)
def test_the_definition_is_what_stands_after_is(text, phrase):
    assert baselines.definition(text) == phrase


def test_the_first_sentence_ends_at_the_first_full_stop_before_a_capital():
    assert baselines.first_sentence("It cost 3.5 million\ndollars. Then it sank.") == "It cost 3.5 million dollars."


def test_the_nearest_pair_shares_most_words_and_falls_back_to_copying():
    memory = baselines.NearestPair(["Open the file", "Close the file"], ["Ouvrir le fichier", "Fermer le fichier"])
    assert memory.answer("close this file") == "Fermer le fichier"
    assert memory.answer("Quit") == "Quit"


def test_the_question_is_what_follows_the_instruction():
    assert baselines.question_text("Name the topic:\nA\nB") == "A\nB"
    assert baselines.question_text("no instruction") == "no instruction"
