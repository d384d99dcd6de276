"""Text and objects are found in an image before the model is asked about it, and told to the model."""
