"""The storm: a thousand field agents come back at once, and everything is counted to the cent.

docs/howto/run-a-storm.md says how to run it and what it prints.
"""
