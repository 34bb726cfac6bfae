"""The settings of the run, for a cluster of four workers that are recycled after a few tasks each."""

import importlib
import json
import os

_run = importlib.import_module(os.environ["TEST_SETTINGS"])
globals().update({name: value for name, value in vars(_run).items() if name.isupper()})

Q_CLUSTER = {**_run.Q_CLUSTER, "workers": 4, "recycle": 5}
WEBHOOKS = {**_run.WEBHOOKS, **json.loads(os.environ.get("WEBHOOKS", "{}"))}
