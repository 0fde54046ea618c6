"""What a user did wrong, in two lines: what is the matter, and what to do about it."""


class UserError(Exception):
    """Something the user can put right: a missing file, a wrong flag, a broken picture.

    message: one line that names the file, flag or value.
    hint: one line that says what to do.
    """

    def __init__(self, message: str, hint: str):
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.args[0]}\nHINT: {self.hint}"


def reason(error: Exception) -> str:
    """What went wrong, without a hint, and without the file that the caller names."""
    if isinstance(error, UserError):
        return error.args[0]
    return str((isinstance(error, OSError) and error.strerror) or error) or type(error).__name__
