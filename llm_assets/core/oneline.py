"""Text that came from elsewhere, as one short line: for messages, tables and plots."""


def one_line(text: str, instead: str = " ") -> str:
    """White space folded to single spaces; ``instead`` stands for any other character that can't be printed."""
    return " ".join("".join(char if char.isprintable() or char.isspace() else instead for char in text).split())


def shortened(text: str, most: int) -> str:
    """At most ``most`` characters; what was longer ends in an ellipsis."""
    return text if len(text) <= most else text[: most - 1] + "…"
