"""What a user did wrong, said in two lines: what is the matter, and what to do about it."""


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
