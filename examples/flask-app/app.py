from flask import Flask, jsonify, request

app = Flask(__name__)


@app.get("/")
def index():
    return "<h1>Hello from Flask</h1>"


@app.post("/reverse")
def reverse():
    text = request.get_json(force=True).get("text", "")
    print("reversing", len(text), "characters")
    return jsonify(reversed=text[::-1])
