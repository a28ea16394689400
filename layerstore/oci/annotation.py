"""Annotation keys by which tools exchange the names of images. OCI image-spec, annotations.md."""

REF_NAME = "org.opencontainers.image.ref.name"
"""A name inside a layout: skopeo and podman take it as it stands, docker writes the tag alone."""
IMAGE_NAME = "io.containerd.image.name"
"""The whole reference, as containerd and docker (25 and later) write it."""
