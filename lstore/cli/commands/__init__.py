"""One module per verb: parse → one call of the engine → render. Named in `lstore.cli.verbs`."""
