"""Imported before our `workspace` app is: a module about it is skipped where the workspace model is another's."""

import pytest
from django.apps import apps

if not apps.is_installed("workspace"):
    pytest.skip("is about our own workspace app", allow_module_level=True)
