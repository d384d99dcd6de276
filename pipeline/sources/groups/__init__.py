"""Several images that are asked about together: which belong to each other, whatever source lists them."""
