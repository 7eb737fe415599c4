"""The packaged catalogs (`*.toml`), the grammar of their lines, and the rules by which arguments are judged."""
