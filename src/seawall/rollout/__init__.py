"""Putting contracts and versions in place: today the devnet; later deployment, canary, promotion, backup."""
