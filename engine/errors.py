"""What a person did wrong, said in one line."""


class UserError(Exception):
    """A mistake of the person at the keyboard: `what, where, remedy`, on one line.

    The entry points print it as `error: ...` and leave with exit code 2, without a traceback.
    """


class WriteError(UserError):
    """A file that could not be written, most often since the disk is full."""
