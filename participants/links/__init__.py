"""The wires an institution speaks."""
