"""Strings on which tokenizers tend to differ: what llama.cpp and our own tokenizer must turn into the same ids."""

from collections.abc import Sequence

_WORDS = (
    "the",
    "Électricité",
    "naïve",
    "Straße",
    "ﬁnance",
    "Ångström",
    "İstanbul",
    "ｆｕｌｌ",
    "e\u0301toile",
    "O'Neill",
    "x²",
    "№5",
)
_SPACES = (
    "",
    " ",
    "  ",
    "   ",
    "\t",
    "\t\t",
    "\n",
    "\n\n",
    "\r\n",
    " \n",
    "\n ",
    "\u00a0",
    "\u3000",
    "\u200b",
    "\u2028",
    " \t \n ",
)
_DIGITS = (
    "0",
    "7",
    "12",
    "123",
    "1234",
    "12345678901234567890",
    "3.14",
    "1,000,000",
    "1e-9",
    "2026-11-25",
    "10:45",
    "٣٤",
    "½",
    "Ⅷ",
)
_CONTRACTIONS = (
    "I'm",
    "you're",
    "he'll",
    "they've",
    "it's",
    "can't",
    "she'd",
    "I'M",
    "YOU'RE",
    "it’s",
    "rock'n'roll",
    "'tis",
    "'''s",
    "o'clock",
)
_EMOJI = ("🙂", "👍🏽", "👩‍👩‍👧‍👦", "🇫🇷", "❤️", "🏳️‍🌈", "a🙂b", "🙂🙂🙂", "☃", "𝒳")
_SCRIPTS = (
    "日本語",
    "中文字符",
    "한국어",
    "Русский",
    "العربية",
    "עברית",
    "हिन्दी",
    "ไทย",
    "Ελληνικά",
    "ქართული",
    "አማርኛ",
    "日本 語123",
)
_MARKS = (
    "...",
    "?!",
    "--",
    "—",
    "“quoted”",
    "(a)",
    "[b]",
    "{c}",
    "a_b",
    "a/b\\c",
    "#tag",
    "@user",
    "50%",
    "$5.00",
    "x=y+z",
    "<b>bold</b>",
    "&amp;",
)
_CONTROL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|pad|>",
    "say <|im_end|> please",
    "<|im_start|>assistant\nYes<|im_end|>",
    "<|endoftext|><|endoftext|>",
    "<|im_end",
    "<| endoftext |>",
    "<s></s>",
    "[INST]",
    "<bos>",
)
_CODE = (
    "def f(x):\n    return x ** 2\n",
    "if (a && b) {\n\tc();\n}",
    "SELECT * FROM t WHERE a='b';",
    "https://example.org/a?b=c&d=%20#e",
)
_LONG = ("a" * 300, " " * 200, "\n" * 50, "ab" * 150, "0" * 120, "é" * 80, "-" * 100)


def strings(texts: Sequence[str], at_least: int) -> list[str]:
    """Distinct strings: all of the above, each kind within a sentence, then held-out texts, whole and in halves.

    ``ValueError`` where that gives fewer than ``at_least``.
    """
    kinds = (_WORDS, _SPACES, _DIGITS, _CONTRACTIONS, _EMOJI, _SCRIPTS, _MARKS, _CONTROL, _CODE)
    single = [text for kind in kinds for text in kind if text]
    inside = [f"It was {text}, said 2 of them." for text in single]
    held_out = [part for text in texts for part in (text, text[: len(text) // 2], text[len(text) // 2 :]) if part]
    found = list(dict.fromkeys([*single, *inside, *_LONG, *held_out]))
    if len(found) < at_least:
        raise ValueError(f"{len(found)} strings, fewer than the {at_least} that are asked for; lower min_strings")
    return found
