"""Pure decisions of the clearing house."""
