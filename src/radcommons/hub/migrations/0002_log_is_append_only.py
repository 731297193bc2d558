"""The database refuses to change or delete an entry of the log, whoever asks."""

from typing import Any

from django.db import migrations

from radcommons.web.log import refuse_changes


def add(apps: Any, schema_editor: Any) -> None:
    """Make the triggers."""
    refuse_changes(schema_editor, "hub_logentry")


class Migration(migrations.Migration):
    dependencies = [("hub", "0001_first")]
    operations = [migrations.RunPython(add)]
