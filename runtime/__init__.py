"""Asyncio parts without a domain, shared by the processes: clock, group commit, HTTP, logs."""
