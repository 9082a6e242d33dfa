"""What an institution decides, without sockets, clock or disk."""
