"""Files that list images or hold them, wherever they lie."""
