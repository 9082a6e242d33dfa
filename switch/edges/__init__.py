"""One module per wire: bytes in, messages through, bytes out; an edge decides nothing."""
