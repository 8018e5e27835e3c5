"""Several workers at one port: who watches them, what one of them does, and what they ask of each other."""
