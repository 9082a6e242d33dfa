"""Finds the JSON document that some receivers wrap as one text inside a SOAP request."""

from typing import Final
from xml.parsers import expat

_DEPTH_MAX: Final = 32


class NotWrapped(ValueError):
    """The XML is broken, declares entities, is too deep, or holds no JSON text."""


class _TextFinder:
    """Collects the text of the innermost elements until one looks like a JSON object."""

    def __init__(self) -> None:
        self.found: str | None = None
        self._depth = 0
        self._parts: list[str] = []

    def start(self, _name: str, _attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _DEPTH_MAX:
            raise NotWrapped("nested too deep")
        self._parts = []

    def text(self, part: str) -> None:
        self._parts.append(part)

    def end(self, _name: str) -> None:
        self._depth -= 1
        content = "".join(self._parts).strip()
        if self.found is None and content.startswith("{"):
            self.found = content
        self._parts = []

    def doctype(self, *_: object) -> None:
        # No wire of ours declares one, and entities are how a short XML becomes a huge text.
        raise NotWrapped("document type declared")


def unwrap(body: bytes) -> bytes:
    """Return the JSON text inside an XML document, as UTF-8.

    Raises:
        NotWrapped: there is none, or the XML is not one we are willing to read.
    """
    finder = _TextFinder()
    parser = expat.ParserCreate()
    parser.StartElementHandler = finder.start
    parser.EndElementHandler = finder.end
    parser.CharacterDataHandler = finder.text
    parser.StartDoctypeDeclHandler = finder.doctype
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise NotWrapped("not an XML document") from error
    if finder.found is None:
        raise NotWrapped("no JSON text inside")
    return finder.found.encode()
