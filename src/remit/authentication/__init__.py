"""Who is calling: tokens verified, proofs of possession checked."""
