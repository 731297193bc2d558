"""The reader study as Django sees it."""

from django.apps import AppConfig


class StudyConfig(AppConfig):
    """Readers, what they were shown, and what they answered."""

    name = "radcommons.study"
    label = "study"
