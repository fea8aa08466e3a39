"""The report as one HTML file, written on demand."""

import base64
import re
from pathlib import Path

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2em auto;padding:0 1em;color:#222}"
    "img{max-width:100%}table{border-collapse:collapse;display:block;overflow-x:auto;font-size:13px;margin:1em 0}"
    "td,th{border-bottom:1px solid #ddd;padding:3px 9px;text-align:left}"
    "[style*=right]{white-space:nowrap}"
    "code{background:#f3f3f3}h2{margin-top:2em;border-bottom:1px solid #ddd}"
)


def html(title: str, text: str, folder: Path) -> str:
    """Convert a page of Markdown to one HTML file; figures of the folder are embedded.

    Raises:
        FileNotFoundError: the folder lacks a figure of the page.
    """
    from markdown_it import MarkdownIt  # rich, which is required, brings it

    body = MarkdownIt("js-default").render(text)

    def embedded(found: re.Match) -> str:
        picture = base64.b64encode((folder / found[1]).read_bytes()).decode()
        return f'src="data:image/png;base64,{picture}"'

    body = re.sub(r'src="([\w.]+\.png)"', embedded, body)
    head = f'<meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n{body}</body></html>\n'
