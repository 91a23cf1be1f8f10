"""Sections of cleaned_corpus: language, addresses, published quality rules, junk, classifiers, personal data.

A file that decides what is kept is named by its path and pinned by its SHA-256: the digest is part of the identity, the path
isn't.
"""

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from llm_assets.core.recipe.base import Section, execution
from llm_assets.core.recipe.executor import ExecutorConfig
from llm_assets.core.recipe.expected import ExpectedTexts

PiiKind = Literal["email", "phone", "ipv4", "ipv6", "card", "iban", "key"]
_KINDS: list[PiiKind] = ["email", "phone", "ipv4", "ipv6", "card", "iban", "key"]
_SHA256 = r"^([0-9a-f]{64})?$"


class LanguageRules(Section):
    """fastText's lid.176 (Joulin et al. 2016), asked with the whole text, and py3langid's model where that is in doubt."""

    languages: list[str] = Field(["en", "fr"], min_length=1, description="ISO 639-1 codes that are kept")
    min_score: float = Field(0.5, ge=0, le=1, description="Below it a text is 'und', no language")
    min_chars: int = Field(40, ge=0, description="Shorter texts are 'und': a label for them means little")
    second_opinion_below: float = Field(
        0.9, ge=0, le=1, description="Texts that the first model scores lower are labelled by both; 0: never"
    )


class UrlRules(Section):
    """Addresses that are left out by their host or by words in them, as RefinedWeb does (Penedo et al. 2023, appendix G.1)."""

    enabled: bool = True
    own_lists: bool = Field(
        True, description="The short lists that ship with the stage (adult sites, parked domains, spam words)"
    )
    datatrove_lists: bool = Field(
        False,
        description="The lists that ship with datatrove, as FineWeb used them: some four million domains, most of them adult",
    )
    domains: list[str] = Field([], description="Left out with all their subdomains")
    urls: list[str] = Field([], description="Single addresses")
    hard_words: list[str] = Field([], description="One such word in the address is enough")
    soft_words: list[str] = Field([], description="Only several of them are")
    subwords: list[str] = Field([], description="Enough even within a longer word, anywhere in the address")
    min_soft_words: int = Field(
        2, ge=1, description="Published (datatrove's default): 2. Distinct soft words that are too many"
    )
    file: str = execution(
        "", description="A list of your own, one entry a line: a domain, or 'hard', 'soft', 'subword' or 'url' before it"
    )
    file_sha256: str = Field("", pattern=_SHA256, description="SHA-256 of that file; needed where a file is named")


class JunkRules(Section):
    """Text that was decoded wrongly, or is no text: shares of characters, before any is taken out."""

    enabled: bool = True
    max_replacement_chars: float = Field(0.001, ge=0, le=1, description="U+FFFD: bytes that no decoder understood")
    max_control_chars: float = Field(0.001, ge=0, le=1, description="Controls but tab and line ends, C1 among them")
    max_mojibake: float = Field(0.002, ge=0, le=1, description="UTF-8 read as Latin-1 or Windows-1251: such pairs a character")
    max_private_chars: float = Field(0.001, ge=0, le=1, description="Private use and noncharacters: icon fonts, damaged PDFs")
    max_symbols: float = Field(
        0.1, ge=0, le=1, description="Symbols (not currency, not punctuation), of what is no white space"
    )


class GopherQuality(Section):
    """Rae et al. 2021, A.1.1. The published minimum of 50 words would drop a third of the demo's one-paragraph pages."""

    enabled: bool = True
    min_words: int = Field(20, ge=0, description="Published: 50. Words with a letter or digit")
    max_words: int = Field(100_000, ge=1)
    min_mean_word_chars: float = Field(3.0, ge=0)
    max_mean_word_chars: float = Field(10.0, gt=0)
    max_symbol_ratio: float = Field(0.1, ge=0, description="Hashes per word, ellipses per word")
    max_bullet_lines: float = Field(0.9, ge=0, le=1)
    max_ellipsis_lines: float = Field(0.3, ge=0, le=1)
    min_alphabetic_words: float = Field(0.8, ge=0, le=1)
    min_stop_words: int = Field(2, ge=0, description="Distinct ones, of the language's list")


class GopherRepetition(Section):
    """Rae et al. 2021, table A1: shares of characters (or of lines and paragraphs) that are said twice."""

    enabled: bool = True
    max_duplicate_lines: float = Field(0.3, ge=0, le=1)
    max_duplicate_paragraphs: float = Field(0.3, ge=0, le=1)
    max_duplicate_line_chars: float = Field(0.2, ge=0, le=1)
    max_duplicate_paragraph_chars: float = Field(0.2, ge=0, le=1)
    max_top_ngram_chars: list[float] = Field([0.2, 0.18, 0.16], min_length=3, max_length=3, description="For n = 2, 3, 4")
    max_duplicate_ngram_chars: list[float] = Field(
        [0.15, 0.14, 0.13, 0.12, 0.11, 0.10], min_length=6, max_length=6, description="For n = 5 to 10"
    )
    single_ngrams: bool = Field(
        False,
        description="datatrove: true. The most frequent n-gram counts even if it occurs once, so texts of up to 25 words fail",
    )


class C4Rules(Section):
    """Raffel et al. 2020, section 2.2. The published minimum of 5 sentences is for whole pages, not introductions."""

    enabled: bool = True
    drop_unterminated_lines: bool = Field(
        False,
        description="Published: true. It takes headings, lists and sentences that break off at a formula, and menus are gone "
        "before; FineWeb leaves it out too, since it alone takes some 30 % of the tokens",
    )
    end_characters: str = Field(
        ".!?\"”»。！？):;'",
        min_length=1,
        description="What a terminated line may end with; published: . ! ? and quotation marks",
    )
    min_words_per_line: int = Field(0, ge=0, description="Published: 3, which takes headings and list items. 0: off")
    max_word_chars: int = Field(1000, ge=0, description="Lines with a longer word are dropped, as C4's code does. 0: off")
    remove_citations: bool = Field(
        False, description="C4's code: true. Takes [1], [] and [edit] out, of Wikipedia pages and of code that counts from a[0]"
    )
    max_curly_brackets: int = Field(0, ge=0, description="0: a page with a curly bracket is dropped; 1: this rule is off")
    min_sentences: int = Field(1, ge=0, description="Published: 5")


class FinewebRules(Section):
    """Penedo et al. 2024, section 3.6."""

    enabled: bool = True
    min_punctuated_lines: float = Field(0.12, ge=0, le=1)
    end_characters: str = Field(
        ".!?…\"'”»:;)。！？؟۔।॥።։။།",
        min_length=1,
        description="What ends a punctuated line; datatrove: only what ends sentences",
    )
    max_short_lines: float = Field(0.67, ge=0, le=1)
    short_line_chars: int = Field(30, ge=1)
    max_duplicate_line_chars: float = Field(0.01, ge=0, le=1, description="datatrove's default; the paper says 0.1")
    max_newlines_per_word: float = Field(0.3, ge=0)


class ClassifierRules(Section):
    """A classifier of your own: one that ``llm-assets train-classifier`` wrote, or any fastText model file."""

    enabled: bool = False
    path: str = execution("", description="The .safetensors of a trained classifier, or a fastText .bin or .ftz file")
    sha256: str = Field("", pattern=_SHA256, description="SHA-256 of the model file; needed where a path is given")
    label: str = Field("", description="The label whose score (0 to 1) is held against the threshold")
    threshold: float = Field(0.5, ge=0, le=1)
    keep: Literal["at_least", "at_most"] = Field(
        "at_least", description="at_least: pages with this score are kept (a wanted label); at_most: those above it are dropped"
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.enabled and not (self.path and self.label):
            raise ValueError("an enabled classifier needs path, sha256 and label (llm-assets train-classifier prints them)")
        return self


class PersonalData(Section):
    """What is replaced by a placeholder."""

    enabled: bool = True
    kinds: list[PiiKind] = Field(_KINDS, description="key: API keys, tokens and private keys")
    min_recall: float = Field(
        0.95, ge=0, le=1, description="Gate, for each kind, on the labelled lines that rules were fitted to"
    )
    min_precision: float = Field(0.95, ge=0, le=1, description="Gate, for each kind, on the same lines")
    min_recall_held_out: float = Field(
        0.8,
        ge=0,
        le=1,
        description="Gate, for each kind, on the lines that no rule was fitted to (phones without a country: .83)",
    )
    min_precision_held_out: float = Field(
        0.85, ge=0, le=1, description="Gate, for each kind, on the same lines (cards: one number in ten has their checksum)"
    )


class CleanedCorpusConfig(Section):
    """Addresses, language, quality rules, personal data. Rules are asked in the order of the sections."""

    language: LanguageRules = LanguageRules()
    url: UrlRules = UrlRules()
    junk: JunkRules = JunkRules()
    gopher_quality: GopherQuality = GopherQuality()
    gopher_repetition: GopherRepetition = GopherRepetition()
    c4: C4Rules = C4Rules()
    fineweb: FinewebRules = FinewebRules()
    classifier: ClassifierRules = ClassifierRules()
    datatrove_filters: list[dict[str, Any]] = Field(
        [], description="Filter classes of datatrove, asked last: {name: RegexFilter, options: {regex_exp: casino}}"
    )
    personal_data: PersonalData = PersonalData()
    expected: ExpectedTexts = ExpectedTexts()
    max_text_bytes: int = Field(4_000_000, ge=1, description="Longer texts are dropped: one row must never stall the writer")
    min_kept_share: float = Field(0.2, ge=0, le=1, description="Gate: share of extracted pages that must be kept")
    max_rule_share: float = Field(0.6, ge=0, le=1, description="Gate: no single rule may drop a larger share")
    workers: int = execution(0, ge=0, description="Shards at a time; 0: the cores there are, no limit on a cluster")
    executor: ExecutorConfig = execution(ExecutorConfig(), description="Where shards are made; see the section executor")

    @field_validator("datatrove_filters")
    @classmethod
    def _named(cls, filters: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for entry in filters:
            if (
                not isinstance(entry.get("name"), str)
                or not isinstance(entry.get("options", {}), dict)
                or set(entry) - {"name", "options"}
            ):
                raise ValueError("each entry has a name (a filter class of datatrove) and may have options (its arguments)")
        return filters
