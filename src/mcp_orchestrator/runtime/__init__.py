"""The engine: gateway, runs, generations and supervisors; knows no wire format."""
