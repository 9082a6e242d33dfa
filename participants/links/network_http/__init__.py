"""The link of a coop to its access network (docs/wire/network.md)."""
