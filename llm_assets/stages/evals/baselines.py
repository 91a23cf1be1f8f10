"""What a model must beat to have learned anything: rules and counts that need no network. Shown also where they win."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

_WORD = re.compile(r"\w+")
# "A quark is a type of …": what follows the first of these is how an encyclopaedia defines its subject.
_COPULA = re.compile(r"\b(?:is|was|are|were|refers to)\s+(?:an?\s+|the\s+)?", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"'(])")
_CLAUSE = re.compile(r"[,;:.(]|\s(?:that|which|who|whose|and|in which|located)\s")


def words(text: str) -> list[str]:
    """Lower-case words."""
    return _WORD.findall(text.casefold())


def question_text(prompt: str) -> str:
    """What a prompt is about: all after its first line, which is the instruction."""
    return prompt.partition("\n")[2] or prompt


def majority(labels: Sequence[str]) -> str:
    """The most frequent label; the first by name where several are."""
    counts = Counter(labels)
    return min(counts, key=lambda name: (-counts[name], name))


class NaiveBayes:
    """Multinomial naive Bayes over words with Laplace smoothing (Manning, Raghavan and Schütze 2008, fig. 13.2)."""

    def __init__(self, texts: Sequence[str], labels: Sequence[str]) -> None:
        if not texts:
            raise ValueError("naive Bayes needs at least one labelled text")
        self.classes = sorted(set(labels))
        split = [words(text) for text in texts]
        self.vocabulary = {word: number for number, word in enumerate(sorted({word for row in split for word in row}))}
        code = {name: number for number, name in enumerate(self.classes)}
        counts = np.ones((len(self.classes), len(self.vocabulary)))
        for row, label in zip(split, labels, strict=True):
            np.add.at(counts[code[label]], [self.vocabulary[word] for word in row], 1.0)
        sizes = np.bincount([code[label] for label in labels], minlength=len(self.classes))
        self.log_prior = np.log(sizes / sizes.sum())
        self.log_likelihood = np.log(counts / counts.sum(axis=1, keepdims=True))

    def predict(self, text: str) -> str:
        """The most probable class; words not seen in training say nothing."""
        known = [self.vocabulary[word] for word in words(text) if word in self.vocabulary]
        return self.classes[int(np.argmax(self.log_prior + self.log_likelihood[:, known].sum(axis=1)))]


def first_sentence(text: str) -> str:
    """All up to the first end of a sentence."""
    return _SENTENCE.split(" ".join(text.split()), maxsplit=1)[0]


def definition(text: str) -> str:
    """The phrase after the first sentence's first "is", up to the next clause: "type of elementary particle"."""
    sentence = first_sentence(text)
    _, found, rest = _partition(sentence)
    phrase = _CLAUSE.split(rest if found else sentence, maxsplit=1)[0].strip()
    return phrase or sentence


def _partition(sentence: str) -> tuple[str, bool, str]:
    match = _COPULA.search(sentence)
    return (sentence[: match.start()], True, sentence[match.end() :]) if match else (sentence, False, "")


class NearestPair:
    """A translation memory: the answer of the training pair whose source shares most words (Jaccard; the first where equal)."""

    def __init__(self, sources: Sequence[str], targets: Sequence[str]) -> None:
        self.sources = [frozenset(words(source)) for source in sources]
        self.targets = list(targets)
        self.holders: dict[str, list[int]] = defaultdict(list)
        for number, row in enumerate(self.sources):
            for word in row:
                self.holders[word].append(number)

    def answer(self, text: str) -> str:
        """The nearest pair's target; the text itself where none shares a word."""
        asked = frozenset(words(text))
        near = {number for word in asked for number in self.holders.get(word, ())}
        if not near:
            return text
        best = max(near, key=lambda n: (len(asked & self.sources[n]) / len(asked | self.sources[n]), -n))
        return self.targets[best]
