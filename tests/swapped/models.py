"""A tenant model that is not ours, with a key that is no number, and people in it."""

import uuid

from django.conf import settings
from django.db import models


class Team(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100)
    slug = models.SlugField(unique=True)
    people = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="teams")
    # Who may look and no more.
    guests = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="+")
    plan = models.CharField(max_length=10, default="free")

    def __str__(self):
        return self.name
