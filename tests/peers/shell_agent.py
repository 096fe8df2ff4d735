"""An ACP agent on stdin and stdout that does what it is told: the task is a shell command, its output the answer.

The command finds the parameters of `session/new` in its variable OPENING, as JSON.
"""

import json
import os
import subprocess
import sys


def write(message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def prompted(params, opening):
    command = "".join(block.get("text", "") for block in params["prompt"])
    env = {**os.environ, "OPENING": json.dumps(opening)}
    done = subprocess.run(command, shell=True, cwd=opening["cwd"], env=env, capture_output=True, text=True, check=False)  # noqa: S602
    update = {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": done.stdout + done.stderr}}
    write({"method": "session/update", "params": {"sessionId": "s1", "update": update}})
    return {"stopReason": "end_turn"}


def main():
    opening = {}
    for line in sys.stdin:
        message = json.loads(line)
        params = message.get("params", {})
        match message.get("method"):
            case "initialize":
                result = {"protocolVersion": 1, "authMethods": []}
                result["agentCapabilities"] = {"mcpCapabilities": {"http": True}}
            case "session/new":
                opening = params
                result = {"sessionId": "s1"}
            case "session/prompt":
                result = prompted(params, opening)
            case _:
                result = {}
        if "id" in message and "method" in message:
            write({"id": message["id"], "result": result})


if __name__ == "__main__":
    main()
