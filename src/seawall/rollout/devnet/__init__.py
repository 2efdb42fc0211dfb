"""The devnet."""
