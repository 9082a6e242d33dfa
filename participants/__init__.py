"""The simulated institutions: durable books behind real sockets, speaking only the wire."""
