"""The nouns of the OCI image specification: frozen values, parsed once at the edge, standard library only."""
