"""Codecs: bytes to messages and back. None of them sees a socket."""
