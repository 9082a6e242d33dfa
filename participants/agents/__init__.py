"""The institutions at work: as receiver, as originator, and in their session."""
