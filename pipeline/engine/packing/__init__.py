"""Several independent images in one request, each with an answer of its own (`--pack`)."""
