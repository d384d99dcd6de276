"""What the user may still say when a run is under way, and when it ends before the listing does."""
