"""The part of every site that Django sees as an app."""

from django.apps import AppConfig


class WebConfig(AppConfig):
    """Pages, style and accounts that sites share."""

    name = "radcommons.web"
    label = "web"
