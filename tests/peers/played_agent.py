"""An agent that plays a script on stdin and stdout, whatever its protocol is.

Run: `python played_agent.py SCRIPT HEARD [ARGUMENT...]`. SCRIPT is a JSON array of steps; what it reads goes to HEARD,
one line of JSON each, after a first line with its arguments and the names of its variables. Steps:

- `"read"`: read a line; `["read", WORD]`: read lines until one contains WORD
- `{...}`: write this object; "$id" anywhere in it is the id of the request that was read last
- `["write", TEXT]`: write this line as it is
- `["error", TEXT]`: write a line to standard error
- `["exit", CODE]`: exit at once, without reading on

At the end of the script it reads until its input is closed, then exits.
"""

import json
import os
import sys
from pathlib import Path


def main():
    script, heard_path = sys.argv[1:3]
    steps = json.loads(Path(script).read_text())
    with Path(heard_path).open("a") as heard:
        print(json.dumps({"argv": sys.argv[3:], "env": sorted(os.environ)}), file=heard, flush=True)
        last = None
        for step in steps:
            last = play(step, heard, last)
        while read(heard) is not None:
            pass


def play(step, heard, last):
    if step == "read":
        return read(heard) or last
    if isinstance(step, dict):
        text = json.dumps(step).replace('"$id"', json.dumps(identity(last)))
        print(text, flush=True)
    elif step[0] == "read":
        while step[1] not in json.dumps(last := read(heard)):
            if last is None:
                sys.exit(0)
    elif step[0] == "write":
        print(step[1], flush=True)
    elif step[0] == "error":
        print(step[1], file=sys.stderr, flush=True)
    elif step[0] == "exit":
        os._exit(step[1])
    return last


def identity(message):
    return (message or {}).get("request_id", (message or {}).get("id"))


def read(heard):
    line = sys.stdin.readline()
    if not line:
        return None
    print(line, end="", file=heard, flush=True)
    return json.loads(line)


if __name__ == "__main__":
    main()
