"""What a person did wrong, said in one line."""

import re
import reprlib

_LONGEST = 60  # characters of a value that a message quotes
_LONGEST_WORD = 300  # characters: no file name is longer, with the punctuation around it
_SPELT_BITS = 2000


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


class _ShortRepr(reprlib.Repr):
    """A repr of bounded length and time, whatever the value holds, refers to or raises."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 3
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = 8

    def repr_str(self, x: str, level: int) -> str:
        return repr(x[:_LONGEST])

    def repr_int(self, x: int, level: int) -> str:
        # Python spells no number of more than some thousand digits.
        return repr(x) if x.bit_length() < _SPELT_BITS else "a huge number"

    def repr_instance(self, x: object, level: int) -> str:
        # The repr of a tensor is many lines of digits, and some kinds of tensors have none.
        if isinstance(x, bytes):
            return repr(x[:_LONGEST])
        plain = isinstance(x, bool | float | complex) or x is None
        return repr(x) if plain else f"a {type(x).__name__}"


_SHORT = _ShortRepr()


def shown(value: object) -> str:
    """A value as a message quotes it: as YAML spells it, on one line, and short."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = " ".join(_SHORT.repr(value).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def named(name: object) -> str:
    """A name, such as a key, as a message says it: without quotes, on one line, and short."""
    if not isinstance(name, str):
        return shown(name)
    text = "".join(char if char.isprintable() else "?" for char in name[: _LONGEST + 1])
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
