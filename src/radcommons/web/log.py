"""A log of who did what: entries are added and never changed, which the database itself refuses."""

from typing import Any

from django.db import models

SAID = "entries of the log are never changed"


class Entry(models.Model):
    """Who did what, when; a site makes its own table of it and calls `refuse_changes` in a migration."""

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    who = models.CharField(max_length=150)
    what = models.CharField(max_length=64)
    about = models.CharField(max_length=200)
    details = models.JSONField(default=dict)

    class Meta:
        abstract = True
        ordering = ["-at", "-id"]

    @classmethod
    def add(cls, who: str, what: str, about: object, **details: Any) -> None:
        """Write an entry."""
        cls._default_manager.create(who=who, what=what, about=str(about), details=details)


def refuse_changes(schema_editor: Any, table: str) -> None:
    """Make triggers that refuse to change or delete a row, whoever asks."""
    for statement in {"sqlite": _sqlite, "postgresql": _postgresql}[schema_editor.connection.vendor](table):
        schema_editor.execute(statement, params=None)


def _sqlite(table: str) -> list[str]:
    return [
        f"CREATE TRIGGER {table}_no_{action.lower()} BEFORE {action} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{SAID}'); END"
        for action in ("UPDATE", "DELETE")
    ]


def _postgresql(table: str) -> list[str]:
    return [
        f"CREATE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{SAID}' USING ERRCODE = 'integrity_constraint_violation'; END $$",
        f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION {table}_refuse()",
        f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} EXECUTE FUNCTION {table}_refuse()",
    ]
