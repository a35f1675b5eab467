"""Whether the installed packages are those that this project was written for."""

from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement

from cultureclip.readiness.finding import Finding

PROJECT = "cultureclip"


def find_wrong_versions(requirements: list[str] | None = None) -> Iterator[Finding]:
    """Find required packages that are missing or of another version.

    Args:
        requirements: As a package declares them; by default this project's own. Those of extras do not count: the
            settings that need an extra ask for it themselves.
    """
    for text in requirements if requirements is not None else metadata.requires(PROJECT) or []:
        needed = Requirement(text)
        if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
            continue
        try:
            installed = metadata.version(needed.name)
        except metadata.PackageNotFoundError:
            yield Finding(f"package {needed.name}", "it is not installed", f"pip install '{_plain(needed)}'")
            continue
        if not needed.specifier.contains(installed, prereleases=True):
            what = f"version {installed} is installed, {needed.specifier} is needed"
            yield Finding(f"package {needed.name}", what, f"pip install '{_plain(needed)}'")


def _plain(needed: Requirement) -> str:
    return f"{needed.name}{needed.specifier}"
