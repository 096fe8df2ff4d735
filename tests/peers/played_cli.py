"""A program that is started for one task: says what its script says, in whatever form, and ends as the script tells.

Run: `python played_cli.py SCRIPT NOTED [ARGUMENT...]`. NOTED gets one line of JSON with its arguments, the names of its
variables, and what came on its standard input. SCRIPT is a JSON array of steps:

- `{...}`: write this object as a line of JSON
- a text: write this line
- `["huge", N]`: write a line of N bytes
- `["error", TEXT]`: write a line to standard error
- `["write", PATH, TEXT]`: write a file where it works
- `["wait"]`: wait for ever
- `["signal", NUMBER]`: end by a signal
- `["exit", CODE]`: exit
"""

import json
import os
import signal
import sys
from pathlib import Path


def main():
    script, noted, *arguments = sys.argv[1:]
    seen = {"argv": arguments, "env": sorted(os.environ), "stdin": sys.stdin.read()}
    with Path(noted).open("a") as file:
        print(json.dumps(seen), file=file)
    for step in json.loads(Path(script).read_text()):
        if isinstance(step, dict):
            print(json.dumps(step), flush=True)
        elif isinstance(step, str):
            print(step, flush=True)
        else:
            play(*step)


def play(word, *values):
    match word:
        case "huge":
            print("x" * values[0], flush=True)
        case "error":
            print(values[0], file=sys.stderr, flush=True)
        case "write":
            Path(values[0]).write_text(values[1])
        case "wait":
            signal.pause()
        case "signal":
            os.kill(os.getpid(), values[0])
        case "exit":
            sys.exit(values[0])


if __name__ == "__main__":
    main()
