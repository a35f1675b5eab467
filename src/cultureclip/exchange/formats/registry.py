"""All formats of rows that a catalog entry can name under ``type``, one line each."""

from collections.abc import Mapping
from importlib import import_module
from typing import Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny

from cultureclip.exchange.formats.row_format import RowFormat

FORMATS = {
    "csv": "csv_pairs:CsvPairsFormat",
    "cultureclip": "cultureclip:CultureClipFormat",
    "open_clip_csv": "open_clip_csv:OpenClipCsvFormat",
    "open_clip_webdataset": "open_clip_webdataset:OpenClipWebDatasetFormat",
    "released": "released:ReleasedFormat",
    "sugarcrepe": "sugarcrepe:SugarCrepePairs",
    "tripletclip": "tripletclip:TripletClipFormat",
}
"""Type -> module in this package and class."""


def parse_format(fields: object) -> RowFormat:
    """Make the format from an entry's fields.

    Raises:
        ValueError: if there is no such type, or one of its fields is wrong.
    """
    if isinstance(fields, RowFormat):
        return fields
    named: Mapping[str, Any] = fields if isinstance(fields, Mapping) else {}
    if named.get("type") not in FORMATS:
        raise ValueError(f"give a type, one of {', '.join(FORMATS)}; this is {fields!r}")
    module, _, name = FORMATS[named["type"]].partition(":")
    made: RowFormat = getattr(import_module(f"{__package__}.{module}"), name).model_validate(named)
    return made


AnyRowFormat = Annotated[SerializeAsAny[RowFormat], BeforeValidator(parse_format)]
"""A format with its settings."""
