"""All formats that a catalog entry can name; ``type`` says which one."""

from typing import Annotated

from pydantic import Field

from cultureclip.benchmarks.sources.annotations import AnnotationsFormat
from cultureclip.benchmarks.sources.csv_table import CsvFormat
from cultureclip.benchmarks.sources.hugging_face import ArrowFormat, ParquetFormat
from cultureclip.benchmarks.sources.json_files import KarpathyFormat, SugarCrepeFormat
from cultureclip.benchmarks.sources.ravenea import RaveneaFormat
from cultureclip.benchmarks.sources.webdataset import WebDatasetFormat

AnyFormat = Annotated[
    AnnotationsFormat
    | ArrowFormat
    | CsvFormat
    | KarpathyFormat
    | ParquetFormat
    | RaveneaFormat
    | SugarCrepeFormat
    | WebDatasetFormat,
    Field(discriminator="type"),
]
