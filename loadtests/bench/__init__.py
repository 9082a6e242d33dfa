"""The benchmark: full transfers through the switch, interleaved with a bare relay.

docs/performance.md says how to read it.
"""
