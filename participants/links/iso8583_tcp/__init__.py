"""The ISO 8583 lane as one institution speaks it (docs/wire/iso8583.md)."""
