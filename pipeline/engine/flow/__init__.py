"""What carries images from stage to stage: bounded channels and the budget of bytes in flight."""
