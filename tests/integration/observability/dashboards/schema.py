"""Reads dashboards with the types that Grafana publishes, writes them again, and tells what is not the same.

What Grafana does not know, such as a misspelt option, is lost on that way. Arguments: files.
"""

import json
import re
import sys

from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

# What Prometheus's plug-in has of its own in variables, and the types leave out.
OF_THE_PLUGIN = re.compile(
    r"/templating/list/\d+/definition"
)


def differences(before, after, path=""):
    """The paths at which two values differ; what is empty may be left out."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name, value in before.items():
            if name in after:
                yield from differences(value, after[name], f"{path}/{name}")
            elif value not in (None, [], {}):
                yield f"{path}/{name}"
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for place, (one, other) in enumerate(zip(before, after)):
            yield from differences(one, other, f"{path}/{place}")
    elif before != after:
        yield path


plugins.register_default_plugins()
faults = []
for file in sys.argv[1:]:
    with open(file, encoding="utf-8") as text:
        dashboard = json.load(text)
    written = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(dashboard)))
    for path in differences(dashboard, written):
        if not OF_THE_PLUGIN.fullmatch(path):
            faults.append(f"{file}: {path}")
print("\n".join(faults))
sys.exit(bool(faults))
