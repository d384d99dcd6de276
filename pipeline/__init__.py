"""Nightcap: bulk image captioning with exact image tokens. Nothing but these names is public."""
