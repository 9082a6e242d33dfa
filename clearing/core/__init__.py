"""Pure decisions of clearing: no I/O, no clock of its own, no chance."""
