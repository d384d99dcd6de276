"""Answers in a shape: from the user's JSON Schema to what is sent, and from an answer to its fields."""
