"""The REST API: one file a collection; app.py puts them together."""
