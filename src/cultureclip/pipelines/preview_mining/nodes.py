"""Nodes of the preview of mining."""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cultureclip.concepts.proposals import Cell
from cultureclip.datasets.site_dataset import SiteFiles
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.errors import ConfigurationError
from cultureclip.ids import digest
from cultureclip.pipelines.mining.parameters import MiningParameters
from cultureclip.pipelines.preview import First, PreviewParameters
from cultureclip.readiness.measured import Measured, measure_answers

if TYPE_CHECKING:
    from cultureclip.concepts.sources.top_down import Proposed, TopDownSource
    from cultureclip.models.chat.asking import Exchange, Transcript
    from cultureclip.models.chat.request import Turn
    from cultureclip.report.estimate import Figure
    from cultureclip.report.preview import Shown

logger = logging.getLogger(__name__)


def list_cells(parameters: MiningParameters) -> list[Cell]:
    """List the regions and categories that the first top-down source asks about.

    Raises:
        ConfigurationError: if no source asks a language model.
    """
    return _find_source(parameters).cells()


def choose_cells(cells: list[Cell], parameters: PreviewParameters) -> First[Cell]:
    """Choose the first regions and categories, in an order without meaning."""
    ordered = sorted(cells, key=lambda cell: digest("preview", cell.region, cell.category))
    return First(ordered[: parameters.items], len(cells))


def preview_top_down(
    first: First[Cell], mining_store: KeyedStore, top_down_prompt: dict[str, Any], parameters: MiningParameters
) -> SiteFiles:
    """Let the source ask about the first regions and categories, and show every question of them.

    The questions are the source's own and their answers lie in its store, so mining does not ask them again.

    Returns:
        A ``report.preview.Preview``.
    """
    from cultureclip.concepts.proposals import read_top_down_prompt
    from cultureclip.concepts.sources.source import Material
    from cultureclip.concepts.sources.tally import Tally
    from cultureclip.models.chat.asking import Transcript
    from cultureclip.models.chat.open import open_chat_model
    from cultureclip.report.preview import Preview

    source, heard = _find_source(parameters), Transcript()
    material = Material("", mining_store, read_top_down_prompt(top_down_prompt))
    proposed = list(source.propose(first.items, Tally(), material, heard))
    models = [("Model", source.language_model), ("Checker", source.checker)]
    preview = Preview(
        stage="mining",
        unit="regions and categories",
        items=len(first.items),
        total=first.total,
        figures=estimate(first, proposed, heard, source),
        shown=show(proposed, heard),
        facts=[
            *((label, open_chat_model(settings).name) for label, settings in models if settings is not None),
            ("Prompt", material.top_down_prompt.id if material.top_down_prompt else ""),
            ("Seed", str(source.seed)),
        ],
        remarks=["Bottom-up questions are not among these."],
        records=measured_rate(len(first.items), heard, parameters).as_record(),
    )
    logger.info("Preview of mining: %s", preview.say())
    return preview


def estimate(
    first: First[Cell], proposed: Sequence["Proposed"], heard: "Transcript", source: "TopDownSource"
) -> list["Figure"]:
    """Estimate questions, concepts, tokens, seconds and money of all regions and categories from the first ones."""
    from cultureclip.report.estimate import SECONDS, project

    of_cell = _by_cell(first.items, proposed, heard)
    told = [[exchange.answer for exchange, _ in found] for found in of_cell.values()]
    questions = project("questions", [len(answers) for answers in told], first.total)
    good = [sum(one.cell == cell and not one.problem for one in proposed) for cell in first.items]
    figures = [
        questions,
        project("concepts", good, first.total),
        project("tokens read", [sum(a.prompt_tokens for a in answers) for answers in told], first.total),
        project("tokens written", [sum(a.completion_tokens for a in answers) for answers in told], first.total),
    ]
    if heard.asked:
        figures.append(questions.times(heard.seconds / heard.asked, "time", SECONDS, 1))
    prices = [source.language_model.prices, source.checker.prices if source.checker else None]
    if any(prices):
        costs = [sum(_cost(exchange, prices[checks]) for exchange, checks in found) for found in of_cell.values()]
        figures.append(project("cost", costs, first.total, "in the currency of the prices", 4))
    return figures


def measured_rate(cells: int, heard: "Transcript", parameters: MiningParameters) -> Measured:
    """Note what a region and category takes, for the preflight."""
    answers = [exchange.answer for exchange in heard.exchanges]
    return measure_answers("mining", parameters, f"preview of {cells} regions and categories", cells, answers, heard)


def show(proposed: Sequence["Proposed"], heard: "Transcript") -> list["Shown"]:
    """Show each question with its answer and what became of every concept in it."""
    from cultureclip.report.preview import Shown

    kept = {exchange.request.turns for exchange in heard.exchanges if exchange.kept}
    of_question: dict[tuple[Turn, ...], list[Proposed]] = {}
    for one in proposed:
        of_question.setdefault(one.request.turns, []).append(one)
    shown = []
    for turns, found in of_question.items():
        good = sum(not one.problem for one in found)
        named = [f"{one.row.found.name}: {one.problem or 'a concept'}" for one in found if one.row is not None]
        shown.append(
            Shown(
                title=str(found[0].cell),
                prompt=tuple((turn.role, turn.text) for turn in turns),
                answer=found[0].outcome.text,
                parsed="; ".join(named) or None,
                verdict="accepted" if good else "rejected" if named else "failed",
                accepted=good > 0,
                reason=None if good else found[0].problem,
                notes=(
                    f"{good} of {len(named)} are concepts",
                    f"{found[0].outcome.tries} tries",
                    "kept" if turns in kept else "asked now",
                ),
            )
        )
    return shown


def _find_source(parameters: MiningParameters) -> "TopDownSource":
    from cultureclip.concepts.sources.top_down import TopDownSource

    found = next((source for source in parameters.sources if isinstance(source, TopDownSource)), None)
    if found is None:
        raise ConfigurationError("mining.sources", "none asks a language model", "Add one of kind top_down")
    return found


def _by_cell(
    cells: Sequence[Cell], proposed: Sequence["Proposed"], heard: "Transcript"
) -> Mapping[Cell, list[tuple["Exchange", bool]]]:
    """Return the exchanges about each cell, and whether they are the check of a concept."""
    place = {one.request.turns: (one.cell, False) for one in proposed}
    place |= {one.check.turns: (one.cell, True) for one in proposed if one.check is not None}
    found: dict[Cell, list[tuple[Exchange, bool]]] = {cell: [] for cell in cells}
    for exchange in heard.exchanges:
        cell, checks = place[exchange.request.turns]
        found[cell].append((exchange, checks))
    return found


def _cost(exchange: "Exchange", prices: tuple[float, float] | None) -> float:
    from cultureclip.models.chat.request import cost_of

    return cost_of(exchange.answer.prompt_tokens, exchange.answer.completion_tokens, prices or (0.0, 0.0))
