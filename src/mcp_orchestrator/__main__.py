"""Starts the command line with `python -m mcp_orchestrator`."""

from mcp_orchestrator.cli.main import main

if __name__ == "__main__":
    main()
