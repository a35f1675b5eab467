"""The JSON files of a model's directory, checked before a library reads them without a bound."""

from pathlib import Path

from cultureclip.errors import WeightsError
from cultureclip.reading.json_text import parse_json
from cultureclip.reading.text import RefusedError, read_bytes


def check_json(folder: Path) -> None:
    """Check that all JSON files of a folder are JSON, of a sane size and not nested without end.

    Raises:
        WeightsError: if one is not.
    """
    for file in sorted(folder.glob("*.json")):
        try:
            parse_json(read_bytes(file))
        except (OSError, RefusedError) as error:
            raise WeightsError(file, str(error), "Copy or download the model again") from error
