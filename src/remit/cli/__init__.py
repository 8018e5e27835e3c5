"""The command line: one file per verb, all of it over the parts below."""
