"""Typed errors. Every message names the item, the cause and the remedy."""


class CultureClipError(Exception):
    """Base of all errors raised on purpose by this package."""

    def __init__(self, item: object, cause: str, remedy: str) -> None:
        """Build the message ``item: cause. remedy``.

        Args:
            item: Item of the error: a path, a row, a parameter, an id.
            cause: Cause of the error.
            remedy: Steps for the user.
        """
        self.item, self.cause, self.remedy = str(item), cause, remedy
        super().__init__(f"{self.item}: {cause}. {remedy}")

    def __reduce__(self) -> tuple[type["CultureClipError"], tuple[str, str, str]]:
        """Pickle the parts: exceptions cross process borders pickled and are else rebuilt from the message alone."""
        return type(self), (self.item, self.cause, self.remedy)


class ConfigurationError(CultureClipError):
    """A parameter or a setting cannot be used; raised before any work starts."""


class SourceDataError(CultureClipError):
    """A row or a file given by the user is not acceptable."""


class MissingInputError(CultureClipError):
    """A dataset that the requested pipeline reads has not been made yet."""


class WeightsError(CultureClipError):
    """A weights file is missing, truncated, in a refused format or does not match its config."""


class DamagedShardError(CultureClipError):
    """A shard's bytes do not match its checksum file."""


class DamagedImageError(DamagedShardError):
    """A shard is whole, but a picture in it does not match its record."""


class IndexMismatchError(CultureClipError):
    """An index was built by another encoder, or of other entities, than what it is asked with."""


class StorageError(CultureClipError):
    """A file could not be written or read: the disk is full or failing, or the folder is not writable."""


class DownloadError(CultureClipError):
    """A download did not arrive, or does not match its checksum."""


class TrainingError(CultureClipError):
    """Training cannot go on: a loss that is not finite, an empty split, an unreadable image."""


class LeakError(CultureClipError):
    """Training data contains something that a benchmark declares held out."""


class UnparsableAnswerError(CultureClipError):
    """A model's answer does not have the form that was asked for."""


class ServerError(CultureClipError):
    """A server does not answer, refuses a request, or serves another model."""


class PreflightError(CultureClipError):
    """A run of this configuration could not end well on this machine."""


class GateError(CultureClipError):
    """A checkpoint is worse than its base by more than the stated margin, or not shown not to be."""


class JobError(CultureClipError):
    """Some slices of a job failed, or its workers cannot work; the others are done and kept."""
