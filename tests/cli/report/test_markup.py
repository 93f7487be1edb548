"""Elements, and that no text can become one."""

from html.parser import HTMLParser

from rt_predictor.cli.report.markup import document, node, picture


def test_texts_are_escaped() -> None:
    found: list[tuple[str, list[tuple[str, str | None]]]] = []
    reader = HTMLParser()
    reader.handle_starttag = lambda *tag: found.append(tag)  # type: ignore[method-assign]
    reader.feed(document(node("p", "<script>alert(1)</script>", title='"><img src=x>')))
    assert found == [("p", [("title", '"><img src=x>')])]


def test_texts_and_elements_keep_their_order() -> None:
    made = node("p", "a", node("b", "c"), "d", "e")
    assert document(made) == "<!doctype html>\n<p>a<b>c</b>de</p>\n"


def test_attributes_are_named_as_in_the_language() -> None:
    made = node("a", class_="x", stroke_width=1.26, http_equiv="y")
    assert made.attrib == {"class": "x", "stroke-width": "1.3", "http-equiv": "y"}


def test_a_picture_is_told_to_who_does_not_see_it() -> None:
    made = picture("Error over time", "It falls.", (100, 50), [node("line")])
    assert made.attrib["role"] == "img"
    named = [made.find(f"*[@id='{name}']") for name in made.attrib["aria-labelledby"].split()]
    assert [element.text for element in named if element is not None] == [
        "Error over time",
        "It falls.",
    ]
