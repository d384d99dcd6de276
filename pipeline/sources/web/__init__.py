"""Images at web addresses, fetched by us."""
