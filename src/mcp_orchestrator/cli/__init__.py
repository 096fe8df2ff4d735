"""The command line: one room per command, imported only when its command is called."""
