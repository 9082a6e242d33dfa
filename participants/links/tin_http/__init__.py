"""The TIN wire over HTTP and JSON, both ways, as one institution speaks it."""

BASE_PATH = "/ssv2/payment-api/v3.5.0/"
"""Before the name of each message, at the clearing house and at the institutions."""
