"""Asks a weather API for a city, and answers in one sentence."""

import json
import os

import requests

URL = os.environ["WEATHER_URL"]
# For an API whose certificate is signed by an authority of one's own: its certificate lies beside this file.
AUTHORITY = os.path.join(os.path.dirname(__file__), "ca.pem")

session = requests.Session()  # keeps its connections for the next call
if os.path.exists(AUTHORITY):
    session.verify = AUTHORITY


def handler(event, context):
    city = (event.get("queryStringParameters") or {}).get("city", "Oslo")
    try:
        answer = session.get(URL, params={"city": city}, timeout=5)
        answer.raise_for_status()
        return told(200, {"weather": f"{answer.json()['celsius']} degrees in {city}"})
    except requests.RequestException as error:
        print("the weather API failed:", error)
        return told(502, {"error": "the weather API does not answer"})


def told(status, body):
    return {"statusCode": status, "headers": {"content-type": "application/json"}, "body": json.dumps(body)}
