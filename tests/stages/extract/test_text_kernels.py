"""The compiled loops that make texts: against the same in plain Python."""

import re
from html import unescape

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from llm_assets.stages.extract.text_kernels import BREAK, code, flow

PIECES = st.lists(
    st.sampled_from(
        [
            "a",
            "word",
            " ",
            "\n",
            "\t",
            "\r",
            "&amp;",
            "&lt;",
            "&gt;",
            "&nbsp;",
            "&quot;",
            "&x;",
            "&",
            "é",
            "漢字",
            "😀",
            "\u3000",
            "\u2003",
            "\x85",
            "\x1c",
            "`",
            ".",
            chr(BREAK),
            "\x03",
            "\x04",
        ]
    ),
    max_size=30,
)


def bytes_of(text):
    return np.frombuffer(text.encode(), np.uint8), len(text.encode())


def run_flow(text, ticks=False, heading=False):
    raw, size = bytes_of(text)
    out = np.zeros(3 * size + 8, np.uint8)
    used, chars, linked, blanks = flow(raw, size, ticks, heading, out, 0)
    made = out[:used].tobytes().decode()
    assert (chars, blanks) == (len(made), made.count(" "))
    return made, linked


def run_code(text):
    raw, size = bytes_of(text)
    out = np.zeros(4 * size + 8, np.uint8)
    used, chars, linked = code(raw, size, out, 0)
    made = out[:used].tobytes().decode()
    assert chars == len(made)
    return made, linked


@given(PIECES, st.booleans(), st.booleans())
@example(["a", " ", "&nbsp;", chr(BREAK), " ", "b"], False, False)
def test_running_text(pieces, ticks, heading):
    """White space as ``str.split`` has it, entities as ``html.unescape`` has them, lines at breaks."""
    text = "".join(pieces)
    mark = "`" if ticks else ""
    lines = [" ".join(unescape(line).split()) for line in re.sub("[\x03\x04]", mark, text).split(chr(BREAK))]
    expected = (" " if heading else "\n").join(line for line in lines if line)
    assert run_flow(text, ticks, heading)[0] == expected


@given(PIECES)
@example(["\t", "\n", "  ", "a", "\t", "b", " ", "\n", " ", "\n", "\n", "c", "\t", "\n"])
def test_code(pieces):
    """Tabs as ``str.expandtabs`` has them; no white space at line ends, no empty lines around."""
    text = unescape("".join(pieces).replace(chr(BREAK), ""))
    text = re.sub("[\x03\x04]", "", text)
    lines = [line.rstrip() for line in text.replace("\xa0", " ").expandtabs(4).split("\n")]
    while lines and not lines[0]:
        lines.pop(0)
    assert run_code("".join(pieces).replace(chr(BREAK), ""))[0] == "\n".join(lines).rstrip("\n")


def test_characters_in_links_are_counted():
    assert run_flow("see \x01the  mill\x02 now") == ("see the mill now", 8)
    assert run_flow("\x01a\x02\x01b\x02") == ("a b", 2)
    assert run_flow("see \x01&amp;\x02") == ("see &", 1)
    assert run_code("a \x01b c\x02\n") == ("a b c", 2)


def test_links_to_their_own_heading_go():
    assert run_flow("Parts\x01¶\x02") == ("Parts", 0)
    assert run_flow("Parts \x01 # \x02now\x01🔗\x02\x01\x02") == ("Parts now", 0)
    assert run_flow("C\x01#1\x02") == ("C#1", 2)
