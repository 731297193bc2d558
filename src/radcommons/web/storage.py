"""Files that a site keeps: whole under their name, or not there."""

from pathlib import Path
from typing import Any

from django.core.files.base import File
from django.core.files.storage import FileSystemStorage

from radcommons.files import put_whole


class WholeFiles(FileSystemStorage):
    """Django's storage in a folder; a file appears under its name when it is complete and on the disk."""

    def _save(self, name: str, content: File[Any]) -> str:
        path = Path(self.path(name))
        path.parent.mkdir(parents=True, exist_ok=True)

        def write(partial: Path) -> None:
            with partial.open("wb") as file:
                for piece in content.chunks():
                    file.write(piece)
            partial.chmod(self.file_permissions_mode)

        put_whole(path, write)
        return name
