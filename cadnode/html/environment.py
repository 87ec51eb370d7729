"""Where pages come from: the templates of a package on top of the base that all pages share.

A page extends `base.html.jinja`, which has the blocks `title`, `style` (within it `own_style`),
`head`, `header`, `main_attributes`, `main`, `footer` and `script`. As it stands the base is for a
file of its own: styles, scripts and pictures are inside, and nothing is fetched. The node's pages
link their style sheets instead, because their Content-Security-Policy allows nothing inline.
"""

from typing import Final

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from cadnode import __version__

# Where a page is dark, as a media query. Paper is always white.
ON_SCREENS: Final = "screen"  # mammograms are read in dark rooms
BY_PREFERENCE: Final = "screen and (prefers-color-scheme:dark)"


def environment(package: str, *, dark: str) -> Environment:
    """The templates in the folder `templates` of `package`, and the shared ones.

    Values are escaped, and one that a template needs and is not given is an error. Texts are in
    English, `lang`, unless a caller installs translations.
    """
    found = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("cadnode.html")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    found.policies["ext.i18n.trimmed"] = True
    found.install_null_translations(newstyle=True)  # type: ignore[attr-defined]
    found.globals.update(version=__version__, dark=dark, lang="en")
    return found
