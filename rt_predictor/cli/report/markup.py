"""Elements of HTML and SVG. Texts are escaped when they are written, so no name can break out."""

from collections.abc import Iterable
from xml.etree.ElementTree import Element, tostring

Child = Element | str


def node(tag: str, *children: Child, **attributes: str | float) -> Element:
    """An element; `class_` is the attribute class, `stroke_width` is stroke-width."""
    made = Element(tag, {_name(name): _value(value) for name, value in attributes.items()})
    for child in children:
        if isinstance(child, Element):
            made.append(child)
        elif len(made):
            made[-1].tail = (made[-1].tail or "") + child
        else:
            made.text = (made.text or "") + child
    return made


def picture(
    title: str, description: str, size: tuple[float, float], marks: Iterable[Element]
) -> Element:
    """A drawing that scales with the page, and that a screen reader can tell.

    Its title must be the only one of its kind on the page: names are made from it.
    """
    name = "".join(letter if letter.isalnum() else "-" for letter in title.lower())
    width, height = size
    return node(
        "svg",
        node("title", title, id=f"{name}-title"),
        node("desc", description, id=f"{name}-text"),
        *marks,
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        aria_labelledby=f"{name}-title {name}-text",
    )


def document(root: Element) -> str:
    """The text of an HTML document."""
    return "<!doctype html>\n" + tostring(root, encoding="unicode", method="html") + "\n"


def _name(name: str) -> str:
    return name.rstrip("_").replace("_", "-")


def _value(value: str | float) -> str:
    return value if isinstance(value, str) else f"{round(value, 1):g}"
