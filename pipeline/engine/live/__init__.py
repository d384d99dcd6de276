"""A live run: every image is asked about by a request of its own, answered while we wait."""
