"""A process beside the switch that tells members and institutions what the ledger has decided."""
