"""Checks objects of the Prometheus operator, a JSON list on standard input, against its definitions.

Writes a list with what is wrong with each, or null. The types alone would let pass what they do not know, so
what they have read has to be what was written.
"""

import json
import sys

from cloudcoil.models.prometheus_operator import v1

KINDS = {"PrometheusRule": v1.PrometheusRule, "ServiceMonitor": v1.ServiceMonitor}


def what_is_wrong(written):
    try:
        read = KINDS[written["kind"]].model_validate(written)
    except ValueError as error:
        return str(error)
    understood = read.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if understood != written:
        return f"not all is understood, only {understood}"
    return None


json.dump([what_is_wrong(written) for written in json.load(sys.stdin)], sys.stdout)
