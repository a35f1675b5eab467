"""A catalog that raises this package's errors unchanged."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kedro.io import DataCatalog, DatasetError

from cultureclip.errors import CultureClipError


class ProjectCatalog(DataCatalog):
    """Kedro's catalog, less the layers that it wraps around a typed error: type and remedy are the first thing seen."""

    def load(self, ds_name: str, version: str | None = None) -> Any:
        """Load a dataset, as Kedro's catalog does."""
        with _typed():
            return super().load(ds_name, version)

    def save(self, ds_name: str, data: Any) -> None:
        """Save a dataset, as Kedro's catalog does."""
        with _typed():
            super().save(ds_name, data)


@contextmanager
def _typed() -> Iterator[None]:
    try:
        yield
    except DatasetError as error:
        cause: BaseException | None = error
        while isinstance(cause, DatasetError) and not isinstance(cause, CultureClipError):
            cause = cause.__cause__
        if isinstance(cause, CultureClipError):
            raise cause from cause.__cause__
        raise
