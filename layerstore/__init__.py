"""The heart of lstore: nouns, store, layers and stacks. No network, and no processes of its own.

The modules follow one image through its stages (docs/flow.md):
oci (nouns) → content (graph) → copy → store (durable blobs) → layer (changesets) → snapshot → mount.
"""
