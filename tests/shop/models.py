"""A model of some project's own, connected to whatever workspace model is configured."""

from django.db import models

from webhooks.fields import WorkspaceForeignKey


class Order(models.Model):
    workspace = WorkspaceForeignKey()
    number = models.CharField(max_length=20)
    status = models.CharField(max_length=10, default="open")
    total = models.DecimalField(max_digits=10, decimal_places=2, default=0)
    note = models.TextField(blank=True)
    count = models.IntegerField(default=0)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self):
        return self.number
