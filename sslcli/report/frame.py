"""Renders pages, each as one HTML file that fetches nothing.

They also suit phones and dark screens. They are jinja2 templates. Every value put into one is text
and is escaped, unless its type says that it is HTML already: `Html`, which only templates and this
file make.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Mapping
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

Html = Markup


def render_page(template: str, values: Mapping[str, object]) -> bytes:
    """Renders one of templates/ that extends frame.html.jinja.

    `origin` (the command) and `about` (the subject) are needed: `written_about` reads them back.
    """
    page = templates().get_template(template).render(values)
    return page.encode("utf-8", errors="replace")


@cache
def templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("sslcli.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # `tojson` writes ASCII, with <, > and & escaped: no HTML parser sees markup in it.
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    return environment


def written_about(page: bytes, origin: str) -> str | None:
    """Reads what a page shows from its first bytes; None if `origin` did not write it."""
    beginning = page[:10_000].decode("utf-8", errors="replace")
    meta = re.search(f'<meta name="{re.escape(origin)}" content="([^"]*)">', beginning)
    return None if meta is None else html.unescape(meta[1])


def picture_uri(content: bytes, kind: str) -> Html:
    """Returns a data URI of the bytes of a picture file; `kind`: png or jpeg."""
    return Html(f"data:image/{kind};base64,{base64.b64encode(content).decode()}")
