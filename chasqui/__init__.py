"""The command line: starts the simulated country, talks to it and supervises it."""
