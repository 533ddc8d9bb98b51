"""Nothing stands in the README or in `docs/` that is not so."""
