"""Tables as GitHub's Markdown: names that come from elsewhere stay text, figures stay as they are written."""

import html

import pandas as pd

_LONGEST = 200
"""Characters of a name that are shown: a longer one makes a table that nobody can read."""


def printable(name: object) -> str:
    """Write a name in one line: a character that is not printable becomes a space, and a long name is cut."""
    shown = "".join(char if char.isprintable() else " " for char in str(name)[: _LONGEST + 1])
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"


def to_markdown(table: pd.DataFrame) -> str:
    """Return a table of text with escaped names; no cell and no name is taken for a number and written otherwise."""
    return table.rename(index=escape, columns=escape).to_markdown(disable_numparse=True) + "\n"


def escape(name: object) -> str:
    """Return a name as text of a table's cell."""
    return html.escape(printable(name), quote=False).replace("|", r"\|")
