"""Checks objects of the Prometheus operator, a JSON list on standard input, against its definitions.

The types alone would let pass what they do not know. So what they have read has to be what was written.
"""

import json
import sys

from cloudcoil.models.prometheus_operator import v1

KINDS = {"PrometheusRule": v1.PrometheusRule, "ServiceMonitor": v1.ServiceMonitor}

for written in json.load(sys.stdin):
    assert written["apiVersion"] == "monitoring.coreos.com/v1", written["apiVersion"]
    read = KINDS[written["kind"]].model_validate(written)
    understood = read.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if understood != written:
        sys.exit(f"{written['kind']}: not all of {written} is understood, only {understood}")
