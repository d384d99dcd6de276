"""Azure AI Vision: what a picture holds, found for the model or by the model's own enhancements."""
