"""Relays: signed bytes that go to block builders and not to the public pool.

    settings   what the operator says of one relay
    dialects   the table of wire formats: which method, which parameters, what counts as taken
    identity   the signature header, made by a key that holds no funds
    form       requests and answers of one relay, for the sender threads of `chain.sending`
    port       one port for all routes of a chain

Written under the same looks at latch, permit and validity as public bytes (invariant 12)."""
