"""A chart that kedro-viz shows."""

import json
from pathlib import Path
from typing import Any, ClassVar

from kedro_datasets import plotly as kedro_plotly

from cultureclip.datasets.versions import WholeVersions


class PlotlyDataset(WholeVersions, kedro_plotly.JSONDataset):
    """Kedro's dataset of a plotly figure with whole versions, in UTF-8 whatever the locale."""

    DEFAULT_FS_ARGS: ClassVar[dict[str, Any]] = {
        "open_args_save": {"mode": "w", "encoding": "utf-8"},
        "open_args_load": {"encoding": "utf-8"},
    }

    def _inspect(self, path: Path) -> None:
        json.loads(path.read_text(encoding="utf-8"))
