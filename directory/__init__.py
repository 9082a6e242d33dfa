"""The alias directory and the QR module: which entities know a phone, a token or a QR."""
