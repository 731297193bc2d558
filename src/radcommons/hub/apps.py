"""The hub as Django sees it."""

from django.apps import AppConfig


class HubConfig(AppConfig):
    """Organisations, deposits and generators."""

    name = "radcommons.hub"
    label = "hub"
