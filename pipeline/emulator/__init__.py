"""A local stand-in for the OpenAI and Azure OpenAI endpoints.

Knows `models` and `images`, never `api`: shared code would hide wire errors.
Callers import the files themselves; importing this package costs nothing.
"""
