"""What a person did wrong, said in one line."""

import re

_LONGEST_WORD = 300
"""Characters: no name of a file is longer, with the punctuation around it."""


class UserError(Exception):
    """A mistake of the person at the keyboard: `what, where, remedy`, on one line.

    The entry points print it as `error: ...` and leave with exit code 2, without a traceback. Words
    longer than a file's name can be, such as a number of 5,000 digits, are shown in part.
    """

    def __init__(self, message: str) -> None:
        super().__init__(_TOO_LONG.sub(_shortened, message))


class WriteError(UserError):
    """A file that could not be written, most often since the disk is full."""


_TOO_LONG = re.compile(rf"[^\s/\\]{{{_LONGEST_WORD + 1},}}")


def _shortened(word: re.Match[str]) -> str:
    return f"{word[0][:40]}...{word[0][-10:]}"
