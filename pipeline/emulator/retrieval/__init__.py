"""Azure AI Vision's Video Retrieval, api-version 2023-05-01-preview: indexes, ingestions, documents, queries by text.

Wire: Video Retrieval API reference and how-to (azure-ai-docs, computer-vision). Shares nothing with `api`.
"""
