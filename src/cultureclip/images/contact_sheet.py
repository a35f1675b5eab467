"""A picture of many generated images with their captions, twins side by side."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from PIL import Image

_TWINS_A_ROW = 5
_CELL_INCHES = 1.3
_CAPTION_WIDTH, _CAPTION_LINES, _TITLE_LENGTH = 27, 4, 24
_INK, _FAINT = "#222222", "#666666"


@dataclass(frozen=True)
class Cell:
    """One image to show: its id, its concept and its prompt."""

    image_id: str
    concept: str
    caption: str


def choose_twins(
    requests: pd.DataFrame, captions: pd.DataFrame, concepts: pd.DataFrame, images: int
) -> list[tuple[Cell, Cell]]:
    """Choose twins spread evenly over all that have an image on both sides.

    Args:
        requests: Table ``image_requests``.
        captions: Table ``captions``.
        concepts: Table ``concepts``.
        images: At most this many images, two a twin.

    Returns:
        For each twin the first image of its two concepts.
    """
    rows = requests.merge(captions[["caption_id", "twin_id", "concept_id"]], on="caption_id")
    rows = rows.merge(concepts[["concept_id", "name"]], on="concept_id")
    rows = rows.sort_values(["twin_id", "concept_id", "image_id"]).drop_duplicates(["twin_id", "concept_id"])
    sides: dict[str, list[Cell]] = {}
    for row in rows.to_dict("records"):
        sides.setdefault(row["twin_id"], []).append(Cell(row["image_id"], row["name"], row["prompt"]))
    whole = [(cells[0], cells[1]) for _, cells in sorted(sides.items()) if len(cells) == 2]
    count = min(images // 2, len(whole))
    return [whole[i * len(whole) // count] for i in range(count)]


def draw_twins(twins: Sequence[tuple[Cell, Cell]], pictures: Sequence[Image.Image]) -> Figure:
    """Draw twins side by side, five a row, name above and caption beneath each image.

    Args:
        twins: T twins.
        pictures: 2 T pictures, in the same order.
    """
    rows = max(1, -(-len(twins) // _TWINS_A_ROW))
    # A narrow empty column after each twin keeps the two sides together to the eye.
    widths = [1.0, 1.0, 0.22] * _TWINS_A_ROW
    figure = Figure(figsize=(sum(widths) * _CELL_INCHES * 1.12, rows * _CELL_INCHES * 1.72 + 0.6), facecolor="white")
    grid = GridSpec(rows, len(widths), figure, width_ratios=widths, hspace=0.62, wspace=0.1)
    grid.update(left=0.01, right=0.995, bottom=0.55 / (rows * 1.72 + 0.5), top=1 - 0.75 / (rows * 1.72 + 0.5))
    figure.suptitle(
        "Generated twins: two concepts that look alike, of different cultures", color=_INK, fontsize=13, y=0.995
    )
    for place, twin in enumerate(twins):
        row, column = divmod(place, _TWINS_A_ROW)
        for side, cell in enumerate(twin):
            axes = figure.add_subplot(grid[row, column * 3 + side])
            axes.imshow(pictures[2 * place + side], interpolation="lanczos")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set(color="#dddddd", linewidth=0.6)
            # Names and captions come from users and models: a dollar sign must not start a formula.
            axes.set_title(_fold(cell.concept, _TITLE_LENGTH, 1), fontsize=6.5, color=_INK, pad=2.5, parse_math=False)
            caption = _fold(cell.caption, _CAPTION_WIDTH, _CAPTION_LINES)
            axes.set_xlabel(caption, fontsize=5.6, color=_FAINT, labelpad=2.5, parse_math=False)
    return figure


def _fold(text: str, width: int, lines: int) -> str:
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return "\n".join(textwrap.wrap(printable, width, max_lines=lines, placeholder=" …"))
