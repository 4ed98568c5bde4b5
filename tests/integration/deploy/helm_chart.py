"""Lints and renders the chart in a folder with some values, a JSON object on standard input, by Helm's own library.

Writes what `helm lint --strict` finds, and the rendered texts by their files, or why there are none.
"""

import json
import sys

import helm_python

path, values = sys.argv[1], json.load(sys.stdin)
report = helm_python.lint(path, values, strict=True)
found = [f"{found['path']}: {found['error']}" for found in report["messages"] if found["severity"] > 1]
try:
    with helm_python.Chart.load(path) as chart:
        chart.validate_schema(values)
        rendered = chart.render(values, name="flowgent-exporter", namespace="flowgent")
except helm_python.HelmError as error:
    rendered = {"error": str(error)}
json.dump({"lint": found + report["errors"], "rendered": rendered}, sys.stdout)
