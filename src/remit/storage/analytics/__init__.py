"""The log in columns, for whoever counts and compares: Parquet files, written in bulk."""
