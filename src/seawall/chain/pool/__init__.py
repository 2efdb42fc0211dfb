"""The parts of the RPC pool. `chain.rpc` is its face; nothing outside the room imports more than that and
`chain.pool.settings`."""
