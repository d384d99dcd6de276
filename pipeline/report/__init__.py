"""The result as a person looks at it."""
