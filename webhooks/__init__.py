"""Webhooks for Django projects: registered in the admin, signed, retried, recorded."""

__version__ = "0.1.0"
