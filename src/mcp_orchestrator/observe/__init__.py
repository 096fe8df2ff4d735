"""What an operator sees of the running program: log lines on standard error."""
