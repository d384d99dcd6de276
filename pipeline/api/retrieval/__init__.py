"""Azure AI Vision's Video Retrieval, api-version 2023-05-01-preview: videos are put into an index, found by text, and
asked about by their ids. Knows the wire, no sources and no terminal. Microsoft was to retire it on 30 June 2025.
"""
