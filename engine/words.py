"""Numbers in sentences."""


def counted(number: int, noun: str) -> str:
    """`1 video`, `1,200 videos`: how many of what; the noun's plural takes an s."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
