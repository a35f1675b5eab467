"""The report as a whole: what it is made from, and the files that it is made of."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

from cultureclip.report.data import ReportData, ReportSettings
from cultureclip.report.gallery import write_gallery
from cultureclip.report.pages import render_pages


@dataclass(frozen=True)
class Site:
    """The report of a run, as a folder of files that open from disk.

    Attributes:
        data: What is shown.
        settings: How.
    """

    data: ReportData
    settings: ReportSettings

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Yield every file as (path below the site's folder, content), made one by one.

        ``index.html`` is the way in.
        """
        for file in sorted(files("cultureclip.report").joinpath("static").iterdir(), key=lambda found: found.name):
            yield f"static/{file.name}", file.read_bytes()
        for name, text in render_pages(self.data, self.settings).items():
            # A lone surrogate in hostile text cannot be written as UTF-8: it becomes a question mark.
            yield name, text.encode("utf-8", "replace")
        data = self.data
        gallery = write_gallery(data.tables, data.images, data.references, self.settings.gallery_twins, data.thumbnails)
        for name, text in gallery:
            yield name, text.encode("ascii")
