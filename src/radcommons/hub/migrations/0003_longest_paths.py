"""Pictures may have names of 216 characters with their folder; PostgreSQL refused more than 200."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("hub", "0002_log_is_append_only")]
    operations = [migrations.AlterField("revisionfile", "path", models.CharField(max_length=255))]
