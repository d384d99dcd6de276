"""Files that list images: tables of paths and URLs, inventories of object stores, Parquet that holds the images."""
