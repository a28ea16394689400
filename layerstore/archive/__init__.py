"""Images in files: OCI layout directories, and archives as docker, podman and skopeo exchange them."""
