"""The local store: durable blobs, refs to them, and what is derived from them. Stage "blobs" of docs/flow.md."""
