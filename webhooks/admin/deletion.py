"""What a page that asks before it deletes says, where millions of rows may hang on what is deleted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest


class NamesWhatIsDeleted:
    """Names the objects and nothing below. For a ModelAdmin."""

    def get_deleted_objects(self, objs: Iterable[Any], request: HttpRequest) -> Any:
        admin: Any = self
        found, names = list(objs), admin.opts
        may_delete_all = all(admin.has_delete_permission(request, obj) for obj in found)
        lacking = set() if may_delete_all else {str(names.verbose_name)}
        return [str(obj) for obj in found], {names.verbose_name_plural: len(found)}, lacking, []
