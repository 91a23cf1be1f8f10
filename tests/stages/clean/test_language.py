"""Languages: both models give their libraries' answers, and together better ones than either."""

import io
import lzma
import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl
import pytest

from llm_assets.core import embedded
from llm_assets.core.errors import InputError
from llm_assets.core.recipe.cleaning import LanguageRules
from llm_assets.core.texts import utf8
from llm_assets.stages.clean import fasttext_file, langid_file, language
from llm_assets.stages.clean.langid_kernels import evidence
from llm_assets.stages.clean.language import identify, identify_all, model_file

ALONE = LanguageRules(min_score=0, min_chars=0, second_opinion_below=0)
BOTH = LanguageRules(min_score=0, min_chars=0)

SENTENCES = {
    "bg": "Старият мост стои в средата на града и всеки ден хората минават по него.",
    "cs": "Starý most stojí uprostřed města a lidé po něm každý den chodí na trh.",
    "de": "Die alte Brücke steht mitten in der Stadt, und die Leute gehen jeden Tag darüber.",
    "el": "Η παλιά γέφυρα βρίσκεται στη μέση της πόλης και οι άνθρωποι περνούν κάθε μέρα.",
    "fi": "Vanha silta on keskellä kaupunkia, ja ihmiset kulkevat sen yli joka päivä torille.",
    "he": "הגשר הישן עומד במרכז העיר, והאנשים עוברים עליו בכל יום בדרך לשוק.",
    "hi": "पुराना पुल शहर के बीच में है और लोग हर दिन उस पर से बाज़ार जाते हैं।",
    "hu": "A régi híd a város közepén áll, és a lakók minden nap átmennek rajta a piacra.",
    "it": "Il vecchio ponte sta nel mezzo della città e la gente lo attraversa ogni giorno.",
    "ja": "古い橋は町の真ん中にあり、人々は毎日それを渡って市場へ行きます。",
    "ko": "오래된 다리는 도시 한가운데에 있고 사람들은 매일 그 다리를 건너 시장에 갑니다.",
    "nl": "De oude brug staat midden in de stad en de mensen lopen er elke dag overheen.",
    "pl": "Stary most stoi w środku miasta, a ludzie codziennie chodzą nim na targ.",
    "pt": "A ponte velha fica no meio da cidade e as pessoas atravessam-na todos os dias.",
    "ru": "Старый мост стоит посреди города, и люди каждый день ходят по нему на рынок.",
    "sv": "Den gamla bron står mitt i staden, och folk går över den varje dag till torget.",
    "th": "สะพานเก่าตั้งอยู่กลางเมือง และผู้คนเดินข้ามไปตลาดทุกวัน",
    "tr": "Eski köprü şehrin ortasında durur ve insanlar her gün üzerinden pazara gider.",
    "uk": "Старий міст стоїть посеред міста, і люди щодня ходять ним на ринок.",
    "zh": "古老的桥在城市的中央，人们每天都要过桥去市场。",
}


def many_languages():
    """Articles in three languages, a sentence in twenty others and in mixtures of their letters, which are of no language."""
    rng = random.Random(1)
    letters = [sentence.replace(" ", "") for sentence in SENTENCES.values()]
    noise = [
        " ".join("".join(rng.choices(alphabet, k=rng.randint(1, 12))) for _ in range(rng.randint(0, 12)))
        for alphabet in letters
        for _ in range(40)
    ]
    articles = [article.text for article in embedded.articles()][::10]
    return articles + list(SENTENCES.values()) + noise + ["", " ", "\n", "__ a b", "<w> </s>", "🎉🎉"]


def test_language_is_asked_with_the_whole_text_and_short_texts_are_undetermined():
    """Case B12: a first line in another language does not decide; capitals and short texts get no absurd label."""
    rules = LanguageRules()
    hungarian = "A régi híd a város közepén áll, és a lakók minden nap átmennek rajta a piacra.\n"
    assert identify("Home | Login\n" + hungarian * 30, rules)[0] == "hu"
    assert identify("PROJECT TAGGING CRITERIA", rules) == ("und", 0.0)
    assert identify("", rules)[0] == "und"


def test_languages_are_those_of_fasttext_itself():
    """The compiled loop against the library, on thousands of texts in dozens of languages: labels equal, scores to rounding."""
    import fasttext

    texts = [text for text in many_languages() if "</s>" not in text]  # where the library stops reading; ours reads on
    assert len(texts) > 3000
    model = fasttext.load_model(str(model_file()))
    folded = str.maketrans("\t\n\v\f\r\0", "      ")  # what is a space to it; a no-break space is none
    theirs = [model.predict(text.translate(folded), k=1) for text in texts]
    found = identify_all(pl.Series(texts), ALONE)
    assert found["lang"].to_list() == [labels[0].removeprefix("__label__") for labels, _ in theirs]
    assert found["lang"].n_unique() > 30
    assert max(abs(a - min(float(b[0]), 1.0)) for a, (_, b) in zip(found["lang_score"], theirs, strict=True)) < 1e-5


def second_scores(texts):
    """py3langid's score of each of its columns for each text, by the compiled loop: (n, columns)."""
    model = langid_file.load(langid_file.model_file())
    data, bounds = utf8(langid_file.spelled(pl.Series(texts)))
    found = np.zeros((len(texts), model.priors.size), np.float32)
    size = model.weights.shape[0]
    work = np.zeros(size, np.int32), np.zeros(size + 3, np.int32), np.zeros(size + 3, np.float32)
    tables = model.moves, model.rows, model.features, model.weights, model.priors
    for number in range(len(texts)):
        evidence(data, bounds[number], bounds[number + 1], *tables, *work, found[number])
    return found


def test_the_second_models_scores_are_those_of_py3langid():
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    theirs = LanguageIdentifier.from_model_file(MODEL_FILE)
    texts = [*many_languages()[::8], *SENTENCES.values(), *(text.upper() for text in SENTENCES.values()), "Cafe\u0301 " * 300]
    encoded = [theirs._encode(text) for text in texts]
    wanted = [theirs._raw_score(text) for text in encoded]
    with_features = [number for number, scores in enumerate(wanted) if scores.max() > -1e30]
    assert len(with_features) > 350 and len(set(map(len, encoded))) > 100
    found = second_scores(texts)
    for number in with_features:
        assert found[number] == pytest.approx(wanted[number], rel=1e-5, abs=1e-3), texts[number]
    assert not found[texts.index("")].any()


def test_a_missing_text_has_no_language():
    found = identify_all(pl.Series([None, "", SENTENCES["el"]], dtype=pl.String), LanguageRules())
    assert found["lang"].to_list() == ["und", "und", "el"]
    assert identify_all(pl.Series([None], dtype=pl.String), BOTH).equals(identify_all(pl.Series([""]), BOTH))


def test_a_language_depends_on_nothing_but_its_text():
    texts = many_languages()
    for rules in (ALONE, BOTH):
        found = identify_all(pl.Series(texts), rules)
        assert identify_all(pl.Series(texts[::-1]), rules).equals(found.reverse())
        assert [identify(text, rules) for text in texts[:40]] == found[:40].rows()


def test_two_models_are_right_more_often_than_either():
    """On a few words out of articles in three languages, too few for either to be sure."""
    articles = embedded.articles()[::7]
    texts = [article.text[len(article.text) // 2 :][:24] for article in articles]
    truth = np.array([article.lang for article in articles])
    columns = np.array(langid_file.load(langid_file.model_file()).columns)
    first = identify_all(pl.Series(texts), ALONE)["lang"].to_numpy() == truth
    second = columns[second_scores(texts).argmax(axis=1)] == truth
    both = identify_all(pl.Series(texts), BOTH)["lang"].to_numpy() == truth
    assert both.mean() > max(first.mean(), second.mean()) + 0.01


def test_known_sentences():
    texts = pl.Series(list(SENTENCES.values()))
    for below in (0, 0.9, 1):
        found = identify_all(texts, LanguageRules(min_chars=10, second_opinion_below=below))
        assert found["lang"].to_list() == list(SENTENCES)
        assert found["lang_score"].is_between(0.5, 1).all()


def test_what_is_in_no_language_is_undetermined():
    assert identify("aGVsbG8gd29ybGQgdGhpcyBpcyBiYXNlNjQgZW5jb2RlZA==", LanguageRules())[0] == "und"
    assert identify("0123 4567 8901 2345 6789 0123 4567 8901 2345", BOTH)[0] == "und"


def test_white_space_makes_no_text_long():
    rules = LanguageRules(min_chars=20, min_score=0)
    texts = ["a" * 19, "a" * 20, "a" * 10 + " " * 99 + "a" * 9, "a" * 10 + " \n" * 99 + "a" * 8, " " * 50 + "é" * 20, " a " * 9]
    assert [score > 0 for score in identify_all(pl.Series(texts), rules)["lang_score"]] == [
        False,
        True,
        True,
        False,
        True,
        False,
    ]


def test_the_second_model_is_read_for_doubtful_texts_only(monkeypatch):
    def refuse():
        raise AssertionError("not needed")

    monkeypatch.setattr(language, "_second", refuse)
    sure, short = SENTENCES["el"] * 3, "stone"
    assert identify_all(pl.Series([sure, short]), LanguageRules())["lang"].to_list() == ["el", "und"]
    assert identify(short, ALONE)[1] < 0.9
    with pytest.raises(AssertionError, match="not needed"):
        identify(short, BOTH)


def test_many_texts_begin_to_read_the_second_model_before_it_is_needed(monkeypatch):
    read = []
    monkeypatch.setattr(langid_file, "load", lambda path: read.append(path) or "model")
    language._reading.cache_clear()
    language.expect(10, LanguageRules())
    language.expect(1_000, ALONE)
    assert read == []
    language.expect(1_000, LanguageRules())
    with ThreadPoolExecutor(4) as pool:
        assert [found.result() for found in [pool.submit(language._second) for _ in range(8)]] == ["model"] * 8
    language._reading.cache_clear()
    assert len(read) == 1


def test_a_missing_second_model_is_told_with_what_to_do(monkeypatch):
    monkeypatch.setattr(langid_file.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install py3langid.*second_opinion_below: 0"):
        langid_file.model_file()


def test_a_damaged_model_file_is_refused(tmp_path):
    content = model_file().read_bytes()
    for name, data in {
        "magic": b"xxxx" + content[4:],
        "cut": content[:300_000],
        "short": content[:40],
        "words": content[:2000],
    }.items():
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(InputError, match=name):
            fasttext_file.load(path)


def test_a_damaged_second_model_is_refused(tmp_path):
    with lzma.open(langid_file.model_file()) as file, np.load(io.BytesIO(file.read())) as tables:
        arrays = {name: tables[name] for name in tables.files}
    packed = lzma.compress(b"no archive")
    for name, data in {
        "magic": b"xxxx" + packed,
        "cut": langid_file.model_file().read_bytes()[:300_000],
        "archive": packed,
        "field": _packed({name: array[:300] for name, array in arrays.items() if name != "pc"}),
        "shapes": _packed({name: array[:256] for name, array in arrays.items()}),
    }.items():
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(InputError, match=f"{name}.*install py3langid again"):
            langid_file.load(path)


def _packed(arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return lzma.compress(buffer.getvalue(), preset=0)
