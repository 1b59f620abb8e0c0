"""Every error Assay raises on purpose. The name says whose move it is.

`Theirs` came in from outside and is answered, not logged as a fault; `Misconfigured` is for the operator and always
says how to mend it; `Unavailable` passes by itself and is worth another try. Anything else that is raised is a bug.
"""


class AssayError(Exception):
    """The root of the tree: an expected failure whose text may be shown to a person."""


class Misconfigured(AssayError):
    """The operator must change something. The message says what."""


class NoSpace(Misconfigured):
    """A disk is full, and what could be removed from it was."""


class NoSandbox(Misconfigured):
    """There is nothing that untrusted commands could be run in. The message says how that is mended."""


class Theirs(AssayError):
    """The input is wrong: a payload, a repository's file, a model's answer."""


class Unavailable(AssayError):
    """An outside service is away for now. `retry_after` is in seconds, None where the service did not say."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Gone(AssayError):
    """The thing asked for no longer exists (a deleted repository, a vanished commit); trying again will not help."""


class Refused(AssayError):
    """The service understood and said no (a missing permission, a validation error). `status` is its HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Conflict(AssayError):
    """An optimistic transaction lost too many races."""


class TakenOver(AssayError):
    """Somebody else does this work now; whoever is told so stops and writes nothing more."""


class OtherVersion(AssayError):
    """Another version of Assay wrote what this one does not understand. Whoever is told so leaves the work to that
    version and changes nothing."""


class ToolFailed(AssayError):
    """A tool crashed, printed nonsense or could not be started. The message carries the tool's own words."""
