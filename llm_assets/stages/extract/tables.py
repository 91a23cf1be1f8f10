"""Tables: rows of cells where they are data, and nothing but places on the page where they are layout."""

from llm_assets.stages.extract.blocks import Block

# A longer cell is a column of a page, not a datum.
MAX_CELL_CHARS = 600
_CELL_KINDS = ("bare", "paragraph")


class Table:
    """Cells of a table that is being read, as ranges of blocks."""

    def __init__(self) -> None:
        self.rows: list[list[tuple[int, int]]] = []
        self.captions = 0  # blocks of the caption, which come first
        self.nested = False

    def row(self) -> None:
        """A row begins."""
        self.rows.append([])

    def cell(self, start: int, end: int) -> None:
        """A cell ends; its blocks are ``start`` to ``end`` (exclusive)."""
        if not self.rows:
            self.row()
        self.rows[-1].append((start, end))

    def as_block(self, blocks: list[Block], first: int) -> Block | None:
        """The table as one block of rows, ``| a | b |``; None for layout: one row or column, a table inside, long cells."""
        if self.nested or max(map(len, self.rows), default=0) < 2 or sum(map(bool, self.rows)) < 2:
            return None
        inside = blocks[first:]
        if not inside or any(block.kind not in _CELL_KINDS and not block.marker for block in inside):
            return None
        lines = []
        for row in self.rows:
            cells = [_cell(blocks[start:end]) for start, end in row]
            if any(len(cell) > MAX_CELL_CHARS for cell in cells):
                return None
            if any(cells):
                lines.append(f"| {' | '.join(cells)} |")
        return Block("table", "\n".join(lines), link_chars=sum(b.link_chars for b in inside), quotes=inside[0].quotes)


def _cell(blocks: list[Block]) -> str:
    return " ".join(block.text.replace("\n", " ").replace("|", "\\|") for block in blocks)
