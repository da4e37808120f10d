"""What runs in a Python 3.13 sandbox: idle until `init`, then the user's ASGI, WSGI or Lambda style function."""
