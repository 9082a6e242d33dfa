"""The scripted day: a country of its own, traffic over all rails, every batch proved to the cent.

docs/howto/run-a-day.md says how to run it and what it prints.
"""
