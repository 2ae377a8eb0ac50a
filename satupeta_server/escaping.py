"""Cells that a spreadsheet would run as a formula, made harmless in a way that can be undone.

A spreadsheet takes a cell of CSV that begins with one of ``= + - @``, full-width ones too, a tab
or a line end as a formula. An apostrophe before it makes it text. Text that already has
apostrophes before such a character gets one more, so that taking one away always gives back what
was there.
"""

import re

_SIGNS = r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]"
_DANGEROUS = re.compile(f"'*{_SIGNS}")
_ESCAPED = re.compile(f"'+{_SIGNS}")


def escaped(text: str) -> str:
    """Make a cell harmless.

    >>> escaped("+62 31 555")
    "'+62 31 555"
    """
    return f"'{text}" if _DANGEROUS.match(text) else text


def unescaped(text: str) -> str:
    """Undo :func:`escaped`; what was never escaped, such as ``-7.5``, stays as it is."""
    return text[1:] if _ESCAPED.match(text) else text
