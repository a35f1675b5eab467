"""A description of the exported files in Croissant (MLCommons, format 1.0): JSON-LD that dataset searches read."""

from collections.abc import Mapping
from typing import Any

from cultureclip.exchange.parquet import COLUMNS
from cultureclip.tables import SIDES

_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "includes": "cr:includes",
    "recordSet": "cr:recordSet",
    "sc": "https://schema.org/",
    "sha256": "sc:sha256",
    "source": "cr:source",
}


def describe(name: str, description: str, licences: list[str], checksums: Mapping[str, str]) -> dict[str, Any]:
    """Describe the parquet parts and the fields of their rows.

    Args:
        name: Name of the dataset.
        description: A sentence or two.
        licences: Licences of the rows, as SPDX expressions.
        checksums: Path below the folder -> SHA-256 of each parquet part.
    """
    parts = [
        {
            "@type": "cr:FileObject",
            "@id": path,
            "name": path,
            "contentUrl": path,
            "encodingFormat": "application/x-parquet",
            "sha256": checksum,
        }
        for path, checksum in checksums.items()
    ]
    every = {
        "@type": "cr:FileSet",
        "@id": "parts",
        "name": "parts",
        "encodingFormat": "application/x-parquet",
        "includes": "data/*.parquet",
    }
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"rows/{column}",
            "name": column,
            "dataType": kind,
            "source": {"fileSet": {"@id": "parts"}, "extract": {"column": column}},
        }
        for column, kind in [(c, "sc:Text") for c in COLUMNS] + [(f"{side}_image", "sc:ImageObject") for side in SIDES]
    ]
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": name,
        "description": description,
        "license": licences,
        "citeAs": "CultureCLIP, arXiv 2507.06210",
        "distribution": [*parts, every],
        "recordSet": [{"@type": "cr:RecordSet", "@id": "rows", "name": "rows", "field": fields}],
    }
