"""What is known of rows without reading them: finished, captioned, to be asked again, gone. Hashes of millions."""
