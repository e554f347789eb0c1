"""Tables of figures, as text and as Markdown."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    title: str
    header: list[str]
    rows: list[list[str]]


def as_text(found: list[Table]) -> str:
    """Aligned columns."""
    parts = []
    for table in found:
        lines = [table.header, *table.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(table.header))]
        body = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]
        parts.append("\n".join([table.title, "-" * len(table.title), *body]))
    return "\n\n".join(parts)


def as_markdown(found: list[Table]) -> str:
    parts = []
    for table in found:
        lines = [table.header, ["---"] * len(table.header), *table.rows]
        parts.append("\n".join([f"### {table.title}", "", *[f"| {' | '.join(line)} |" for line in lines]]))
    return "\n\n".join(parts)


def update_block(text: str, markdown: str) -> str:
    """`text` with everything between its report marks replaced. Raises ValueError when it has none."""
    before, mark, rest = text.partition("<!-- report -->\n")
    _, end, after = rest.partition("<!-- /report -->")
    if not mark or not end:
        raise ValueError("The file has no lines <!-- report --> and <!-- /report --> to write between.")
    return f"{before}{mark}\n{markdown}\n\n{end}{after}"
