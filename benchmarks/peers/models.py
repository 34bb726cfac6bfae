"""What happens in the peers' project: somebody creates an article."""

from django.db import models


class Article(models.Model):
    text = models.TextField()

    def __str__(self) -> str:
        return f"Article {self.pk}"
