"""A chart that kedro-viz shows."""

import json
from pathlib import Path

from kedro_datasets import plotly as kedro_plotly

from cultureclip.datasets.versions import WholeVersions


class PlotlyDataset(WholeVersions, kedro_plotly.JSONDataset):
    """Kedro's dataset of a plotly figure with whole versions."""

    def _inspect(self, path: Path) -> None:
        json.loads(path.read_text(encoding="utf-8"))
