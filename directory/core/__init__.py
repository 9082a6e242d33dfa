"""Decisions of the directory: plain functions on values, without disk, clock or sockets."""
