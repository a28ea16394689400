"""The application: `engine` is the typed public API, `cli` the command line over it, `cache` the CI cache."""
