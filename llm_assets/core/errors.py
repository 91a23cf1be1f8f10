"""Errors a user can cause. Each says what is wrong, where, what is allowed and what to do.

All derive from ``LlmAssetsError``, which is a ``ValueError``, so that the command line and the
Dagster skin can print the sentence without a traceback and let programming errors through.
"""


class LlmAssetsError(ValueError):
    """Base of every error that a user can cause and mend."""


class RecipeError(LlmAssetsError):
    """The recipe, or an override of it, does not validate."""


class StoreError(LlmAssetsError):
    """The store can't be read or written as asked (missing artefact, damage, no space)."""


class StoreBusy(StoreError):
    """Another run holds the lock of the same artefact."""


class InputError(LlmAssetsError):
    """An input file or record is not what the stage can take."""


class ExecutorError(LlmAssetsError):
    """The executor that the recipe asks for is not here, or it lost shards."""


class MissingInput(StoreError):
    """An asset that another reads was not materialised; ``what`` names it."""

    def __init__(self, message: str, what: str) -> None:
        super().__init__(message)
        self.what = what


class WorkerDied(ExecutorError):
    """A worker process ended by a signal, most often for lack of memory."""


class DeviceError(LlmAssetsError):
    """The recipe asks for a device that this machine has not."""


class GateBlocked(LlmAssetsError):
    """A blocking check refused an artefact; ``CURRENT`` stays where it was."""

    def __init__(self, message: str, failed: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.failed = failed
