"""The typed public API: one verb per module, each taking the parts it needs; `engine` puts the parts together."""
