"""The wire: request bodies, reply reading, retry decisions, throttle, client. The only room with pyreqwest.

Callers import the files themselves; importing this package costs nothing.
"""
