"""Types of charts for nodes. Kedro resolves the hints of nodes, and drawing libraries take long to import."""

from typing import Any, Protocol


class Drawing(Protocol):
    """A figure of matplotlib."""

    def savefig(self, fname: Any, **options: Any) -> None:
        """Write a picture."""
        ...


class Chart(Protocol):
    """A figure of plotly."""

    def write_json(self, file: Any, **options: Any) -> None:
        """Write the data and the layout."""
        ...
