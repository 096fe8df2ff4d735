"""How a state file comes to its present form: numbered steps, each in one transaction."""
