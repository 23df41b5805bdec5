"""What the pages that sslcli writes share: one HTML file that fetches nothing, is readable on a phone and in the dark.

`Html` is what may stand in a page as it is; `text` makes it of anything, escaped: the type checker finds what was forgotten.
"""

from __future__ import annotations

import base64
import html
import json
import re
from typing import NewType

Html = NewType("Html", str)

FRAME = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="@ORIGIN@" content="@ABOUT@">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; \
script-src 'unsafe-inline'">
<title>@TITLE@</title>
<style>
:root { --ground: #ffffff; --ink: #1f2937; --muted: #6b7280; --line: #d1d5db; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #111827; --ink: #f3f4f6; --muted: #9ca3af; --line: #374151; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 60rem; background: var(--ground); color: var(--ink);
  font: 1rem/1.4 system-ui, sans-serif; }
h1 { font-size: 1.15rem; margin: 0; overflow-wrap: anywhere; }
p { color: var(--muted); margin: .25rem 0 .75rem; font-size: .9rem; overflow-wrap: anywhere; }
@STYLE@
</style>
</head>
<body>
<h1>@TITLE@</h1>
@BODY@
</body>
</html>
"""


def text(value: object) -> Html:
    return Html(html.escape(str(value)))


def filled(template: str, parts: dict[str, Html]) -> Html:
    """Every @NAME@ replaced, in one pass: what is put in is not looked at again."""
    return Html(re.sub("@([A-Z_]+)@", lambda found: parts[found[1]], template))


def framed(origin: str, about: str, title: str, style: Html, body: Html) -> bytes:
    """The page. `origin`: the command that writes it; `about`: of what; both can be read back by `written_about`."""
    parts = {
        "ORIGIN": text(origin),
        "ABOUT": text(about),
        "TITLE": text(title),
        "STYLE": style,
        "BODY": body,
    }
    return filled(FRAME, parts).encode("utf-8", errors="replace")


def written_about(page: bytes, origin: str) -> str | None:
    """What a page that `origin` wrote is about, by its first bytes; None where another wrote it."""
    beginning = page[:10_000].decode("utf-8", errors="replace")
    found = re.search(
        f'<meta name="{re.escape(html.escape(origin))}" content="([^"]*)">', beginning
    )
    return None if found is None else html.unescape(found[1])


def inside_script(data: object) -> Html:
    """JSON that no HTML parser sees markup in."""
    content = json.dumps(
        data, separators=(",", ":"), allow_nan=False
    )  # ASCII: everything else is escaped
    return Html(content.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def picture_uri(content: bytes, kind: str) -> Html:
    """The bytes of a picture file, `kind` being png or jpeg, as an address that holds them."""
    return Html(f"data:image/{kind};base64,{base64.b64encode(content).decode()}")
