"""How each task is asked: one wording for training, preference pairs, PPO, evaluation and the docs' samples.

A model is only judged fairly if it is asked in the words that it was taught. The instruction comes first, so that a causal
model reads the text knowing what for. Texts are clipped to whole words, so that a prompt's cost is bounded.
"""

MAX_WORDS = 64  # of a text; the first sentences say what a thing is, and the rest costs training time in proportion
MAX_TITLE_WORDS = 16


def clip(text: str, max_words: int = MAX_WORDS) -> str:
    """The first ``max_words`` words, with single spaces between them (line breaks go)."""
    return " ".join(text.split()[:max_words])


def describe_prompt(title: str) -> str:
    """Ask for a one-line description of a thing by its name; nothing but its name is given."""
    return f"Describe in a few words: {clip(title, MAX_TITLE_WORDS)}"


def summarise_prompt(text: str) -> str:
    """Ask for the one-line description of an extract."""
    return f"Summarise this text in one line:\n{clip(text)}"


def topic_prompt(text: str) -> str:
    """Ask which of the known classes a text belongs to."""
    return f"Name the topic of this text:\n{clip(text)}"


def translate_prompt(text: str) -> str:
    """Ask for the French of an English string."""
    return f"Translate into French:\n{clip(text)}"
