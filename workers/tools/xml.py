"""Reading XML that a stranger wrote: no entities, no external references, no DTD."""

from __future__ import annotations

from xml.etree.ElementTree import Element, ParseError  # types; the parsing is defusedxml's

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from bot.errors import ToolFailed

_DEEPEST = 100


def parse_xml(name: str, text: str) -> Element:
    """Raises ToolFailed for what is no XML, or is an attack."""
    try:
        # As bytes, so that an encoding declaration is no contradiction.
        root: Element = fromstring(text.strip().encode("utf-8", "replace"), forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError, RecursionError) as error:
        raise ToolFailed(f"{name} wrote no XML that can be read: {str(error)[:300]}") from None
    if _is_deep(root):
        raise ToolFailed(f"{name} wrote XML that is nested more than {_DEEPEST} levels deep")
    return root


def _is_deep(root: Element) -> bool:
    """Whoever reads it may go down from element to element, and Python lets nobody go down far."""
    level = [root]
    for _ in range(_DEEPEST):
        level = [child for element in level for child in element]
        if not level:
            return False
    return True
