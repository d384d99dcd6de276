"""Makes `weights/` and `labels.toml` from published packages. Not part of the installed product; needs `onnx`."""
