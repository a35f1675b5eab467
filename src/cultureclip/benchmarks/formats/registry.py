"""All formats that a catalog entry can name under ``type``, one line each; a format is imported on its first use."""

from collections.abc import Mapping
from importlib import import_module
from typing import Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny

from cultureclip.benchmarks.rows import Format

FORMATS = {
    "annotations": "annotations:AnnotationsFormat",
    "arrow": "arrow:ArrowFormat",
    "csv": "csv_table:CsvFormat",
    "karpathy": "json_files:KarpathyFormat",
    "parquet": "parquet:ParquetFormat",
    "ravenea": "ravenea:RaveneaFormat",
    "sugarcrepe": "json_files:SugarCrepeFormat",
    "webdataset": "webdataset:WebDatasetFormat",
}
"""Type -> module in this package and class."""


def parse_format(fields: object) -> Format:
    """Make the format from an entry's fields.

    Raises:
        ValueError: if there is no such type, or one of its fields is wrong.
    """
    if isinstance(fields, Format):
        return fields
    named: Mapping[str, Any] = fields if isinstance(fields, Mapping) else {}
    if named.get("type") not in FORMATS:
        raise ValueError(f"give a type, one of {', '.join(FORMATS)}; this is {fields!r}")
    module, _, name = FORMATS[named["type"]].partition(":")
    made: Format = getattr(import_module(f"{__package__}.{module}"), name).model_validate(named)
    return made


AnyFormat = Annotated[SerializeAsAny[Format], BeforeValidator(parse_format)]
