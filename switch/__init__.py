"""The clearing house: relays, decides, remembers, and answers for every transfer."""
