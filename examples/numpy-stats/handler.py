"""POST a JSON list of numbers, get its statistics."""

import base64
import json

import numpy as np


def handler(event, context):
    body = event.get("body") or "[1, 2, 3, 4]"
    if event.get("isBase64Encoded"):
        body = base64.b64decode(body).decode()
    try:
        values = np.asarray(json.loads(body), dtype=float)
    except ValueError:
        return {"statusCode": 400, "body": json.dumps({"error": "send a JSON list of numbers"})}
    if values.size == 0:
        return {"statusCode": 400, "body": json.dumps({"error": "the list is empty"})}
    result = {"count": int(values.size), "mean": float(values.mean()), "std": float(values.std()), "p95": float(np.percentile(values, 95))}
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(result)}
