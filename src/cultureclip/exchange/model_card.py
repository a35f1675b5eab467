"""The card of an exported model: base, data, objective, scores, forgetting, limits."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from cultureclip.clip.contracts import AdapterCard
from cultureclip.errors import SourceDataError
from cultureclip.exchange.card import as_cell
from cultureclip.exchange.facts import ModelFacts
from cultureclip.exchange.model_facts import published_base
from cultureclip.exchange.settings import ModelExportSettings

TEMPLATE = "model_card.md.j2"
FEW = 30
"""Independent questions below which the card warns of a benchmark."""


def write_model_card(card: AdapterCard, facts: ModelFacts, settings: ModelExportSettings) -> str:
    """Write the card in Markdown, with the header that the hub reads.

    Raises:
        SourceDataError: if a field is missing that a card must have.
    """
    required: dict[str, object] = {
        "licence": settings.licence,
        "data": facts.data.rows,
        "settings of the training": card.settings,
        "scores": facts.scores,
    }
    for field, value in required.items():
        if not value:
            raise SourceDataError(f"card of {settings.name}", f"{field} is missing", "Export a model of a whole run")
    environment = Environment(  # noqa: S701 - Markdown: what is put in is escaped by the filter
        loader=PackageLoader("cultureclip.exchange"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"cell": as_cell, "points": _points, "change": _change}
    base = published_base(card)
    return environment.get_template(TEMPLATE).render(
        settings=settings,
        card=card,
        facts=facts,
        base=base,
        base_on_hub=base.count("/") == 1 and ":" not in base,
        few=sorted({line.title for line in facts.scores if line.clusters < FEW}),
        few_limit=FEW,
    )


def _points(share: float) -> str:
    return f"{100 * share:.1f}"


def _change(share: float) -> str:
    return f"{100 * share:+.1f}"
