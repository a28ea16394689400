"""Layers without unpacking: a layer stays one tar, and an EROFS index beside it makes it a file system."""
