"""From a listed image to a request: the work done away from the event loop."""
