"""The keys of issuers: where they are, how they are fetched, how long they are held."""
