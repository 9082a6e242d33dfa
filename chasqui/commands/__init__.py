"""The commands, a module for each subject; imported only when one of them is run."""
