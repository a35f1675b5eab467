"""Figures and settings in JSON."""

import json
from pathlib import Path
from typing import Any, ClassVar

from kedro_datasets import json as kedro_json

from cultureclip.datasets.versions import WholeVersions


class WholeJSON(WholeVersions):
    """Mixin, before a dataset of kedro-datasets that writes JSON: whole versions, in UTF-8 whatever the locale."""

    DEFAULT_FS_ARGS: ClassVar[dict[str, Any]] = {
        "open_args_save": {"mode": "w", "encoding": "utf-8"},
        "open_args_load": {"encoding": "utf-8"},
    }

    def _inspect(self, path: Path) -> None:
        json.loads(path.read_text(encoding="utf-8"))


class JSONDataset(WholeJSON, kedro_json.JSONDataset):
    """Kedro's JSON dataset with whole versions."""
