"""Text that a person may read in another language: marked where it stands, translated by `web`.

A room below `web` knows no language. It marks a constant with `N_`, and makes a sentence that has
values in it with `phrase`. Both are English text, in logs, JSON and DICOM objects; a page looks up
its translation (`cadnode.web.language`). Files and processes keep the English text alone.
"""

from typing import Any


class Phrase(str):
    """A sentence in English that still knows its template and values.

    Attributes
    ----------
    template, plural
        The message, and that for several, with placeholders such as `%(n)s`; `plural` "" for none.
    values
        By placeholder; a value may be a phrase itself.
    """

    template: str
    plural: str
    values: dict[str, Any]


def N_(text: str) -> str:  # noqa: N802 (gettext's own name for a mark)
    """The text itself, marked for the catalogs."""
    return text


def phrase(template: str, **values: Any) -> Phrase:
    """A sentence with its values, such as `phrase("one of %(names)s", names="a, b")`.

    Raises
    ------
    KeyError
        A placeholder has no value.
    """
    return _made(template, "", values)


def nphrase(one: str, many: str, n: int, **values: Any) -> Phrase:
    """A sentence about `n` things, which `%(n)s` names: `one` of a single one, else `many`."""
    return _made(one, many, {"n": n, **values})


def _made(template: str, plural: str, values: dict[str, Any]) -> Phrase:
    chosen = plural if plural and values["n"] != 1 else template
    made = Phrase(chosen % values)
    made.template, made.plural, made.values = template, plural, values
    return made
