"""Azure AI Vision's Image Analysis 4.0, as far as text and objects go."""
