"""What a check before a run has found, and what the checks have looked at."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cultureclip.errors import CultureClipError
from cultureclip.models.named import NamedModel
from cultureclip.settings_base import Settings

Severity = Literal["fix", "note"]
FIX: Severity = "fix"
NOTE: Severity = "note"


@dataclass(frozen=True)
class Finding:
    """One thing to fix or to know.

    Attributes:
        where: The parameter, the file or the model.
        what: What is wrong with it.
        remedy: What to do.
        severity: ``fix``: a run cannot end well; ``note``: it can.
    """

    where: str
    what: str
    remedy: str
    severity: Severity = FIX

    @classmethod
    def of(cls, error: CultureClipError) -> "Finding":
        """Turn an error that would stop a run into a finding."""
        return cls(error.item, error.cause, error.remedy)


@dataclass(frozen=True)
class Survey:
    """The configuration of a run and what is on disk, with what is wrong with either.

    Attributes:
        env: The environment, or None for the default one.
        stages: Settings of the stages whose parameters are valid.
        findings: What would stop a run of the whole line.
        models: Models that the stages of the line name.
        files: Datasets that are there, by name: the file or folder of the version to load.
        folders: Where datasets are written, by name.
        manifests: Folder of the run manifests.
    """

    env: str | None
    stages: Mapping[str, Settings]
    findings: tuple[Finding, ...] = ()
    models: tuple[NamedModel, ...] = ()
    files: Mapping[str, Path] = field(default_factory=dict)
    folders: Mapping[str, Path] = field(default_factory=dict)
    manifests: Path | None = None
