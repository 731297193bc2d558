"""The tag ``component``: what all pages are built of, on a page of Django."""

from typing import Any

from django import template
from markupsafe import Markup

from radcommons import pages

register = template.Library()


@register.simple_tag
def component(name: str, *content: Any, **options: Any) -> Markup:
    """A macro of ``components.html.j2``: ``{% component "verdict" "Privacy" outcome statement %}``."""
    return pages.component(name, *content, **options)
