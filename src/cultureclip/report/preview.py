"""The page of a preview: the first items of a stage, and what all of them would cost."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files

from markupsafe import Markup

from cultureclip.report.estimate import Figure
from cultureclip.report.page import make_environment

TEMPLATE = "preview.html.j2"
_STYLE = "static/style.css"


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One question, or whatever else a stage does, with what came of it.

    Attributes:
        title: What it is about.
        prompt: Who said what to the model: (role, text), the question last.
        answer: What came back; None where pictures came back.
        parsed: What was read from the answer; None where nothing could be.
        verdict: ``accepted``, ``rejected``, ``failed`` ...
        accepted: Whether the stage goes on with it.
        reason: Why it does not.
        notes: What else there is to say: the tokens, the seed ...
        pictures: Data URIs.
    """

    title: str
    prompt: tuple[tuple[str, str], ...]
    answer: str | None
    parsed: str | None
    verdict: str
    accepted: bool
    reason: str | None
    notes: tuple[str, ...] = ()
    pictures: tuple[Markup, ...] = ()


@dataclass(frozen=True)
class Preview:
    """A folder with one page, ``index.html``, that opens from disk.

    Attributes:
        stage: Name of the stage.
        unit: What its items are, in the plural.
        items: How many are shown.
        total: How many there are.
        figures: What the items took, and what all would take.
        shown: What the stage did for them.
        facts: Label and value: the model, where answers are kept ...
        remarks: Sentences about the estimate.
        records: Further files of the folder: name -> text, such as what was measured, for programs.
    """

    stage: str
    unit: str
    items: int
    total: int
    figures: Sequence[Figure]
    shown: Sequence[Shown]
    facts: Sequence[tuple[str, str]] = ()
    remarks: Sequence[str] = ()
    records: Mapping[str, str] = field(default_factory=dict)

    def files(self) -> Iterator[tuple[str, bytes]]:
        """The page, its style sheet and the records, as (path, content)."""
        for name, record in self.records.items():
            yield name, record.encode()
        yield _STYLE, files("cultureclip.report").joinpath(_STYLE).read_bytes()
        text = (
            make_environment()
            .get_template(TEMPLATE)
            .render(
                preview=self,
                verdicts=Counter((shown.verdict, shown.accepted) for shown in self.shown),
                reasons=Counter(shown.reason for shown in self.shown if shown.reason is not None),
            )
        )
        # A lone surrogate in hostile text cannot be written as UTF-8: it becomes a question mark.
        yield "index.html", text.encode("utf-8", "replace")

    def say(self) -> str:
        """The estimate in a line, for the console."""
        costs = ", ".join(figure.say() for figure in self.figures)
        return f"{self.items:,} of {self.total:,} {self.unit} shown; all would take about {costs}"
