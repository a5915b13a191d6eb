"""The exceptions that etendue raises on purpose."""


class EtendueError(Exception):
    """Base of every error whose one-line message is meant for the user."""


class InputError(EtendueError):
    """Something given to etendue cannot be used.

    Parameters
    ----------
    message : str
        What is wrong, in one line.
    source : object, optional
        File, table or key that holds the bad input.
    value : object, optional
        The offending value.
    remedy : str, optional
        What the user can do about it.
    """

    def __init__(self, message: str, *, source: object = None, value: object = None, remedy: str | None = None):
        self.source = source
        self.value = value
        self.remedy = remedy
        prefix = f"{source}: " if source is not None else ""
        got = f" (got {value!r})" if value is not None else ""
        advice = f"; {remedy}" if remedy else ""
        super().__init__(" ".join(f"{prefix}{message}{got}{advice}".split()))


class NothingToDoError(InputError):
    """No data match what was asked for."""


class AlgorithmError(EtendueError):
    """The data defeated the method: the quantum is marked and the run goes on.

    Parameters
    ----------
    message : str
        What failed, in one line.
    **metadata : object
        Numbers that explain the failure, stored with the quantum.
    """

    def __init__(self, message: str, **metadata: object):
        self.metadata = metadata
        details = ", ".join(f"{key}={value}" for key, value in metadata.items())
        super().__init__(f"{message} ({details})" if details else message)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, with a line that says how to go on; programs that handle `KeyboardInterrupt` handle it too."""
