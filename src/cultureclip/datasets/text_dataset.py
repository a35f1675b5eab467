"""Lines of text."""

from pathlib import Path
from typing import Any, ClassVar

from kedro_datasets import text as kedro_text

from cultureclip.datasets.versions import WholeVersions


class TextDataset(WholeVersions, kedro_text.TextDataset):
    """Kedro's text dataset with whole versions, in UTF-8 and with line feeds whatever the locale.

    A text ends with a line feed, which is added if need be: a text that was cut off inside a line lacks it.
    """

    DEFAULT_FS_ARGS: ClassVar[dict[str, Any]] = {
        "open_args_save": {"mode": "w", "encoding": "utf-8", "newline": ""},
        "open_args_load": {"mode": "r", "encoding": "utf-8", "newline": ""},
    }

    def _write(self, data: str, path: Path) -> None:
        super()._write(data if data.endswith("\n") else data + "\n", path)

    def _inspect(self, path: Path) -> None:
        if not path.read_text(encoding="utf-8").endswith("\n"):
            raise ValueError("the text is cut off: it does not end with a line feed")
