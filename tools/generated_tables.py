"""Generated tables in Markdown: `<!-- name -->`, the table, `<!-- end -->`."""

import re


def fill(text: str, name: str, table: str) -> str:
    """Return a text with what stands between the markers of a name replaced.

    Raises SystemExit where the text has no such markers.
    """
    pattern = re.compile(rf"(<!-- {re.escape(name)} -->\n)(?:.*\n)*?(<!-- end -->)")
    if not pattern.search(text):
        raise SystemExit(f"no place for the table of {name}: <!-- {name} -->")
    return pattern.sub(lambda found: f"{found[1]}{table}\n{found[2]}", text)
