"""A scripted ACP agent on stdin and stdout: `python acp_agent.py SCRIPT.json`. Standard library only.

The script: `initialize`, `new`, `load`, `resume`, `fork`, `set_mode`, ... (results of these methods; `{"error": ...}` is
an error; what is missing is answered with `{}`), `load_updates`,
`load_late`, ... (updates before and after such an answer), `before` (lines written at the start), `prompts` (steps of each
prompt, see `STEPS`), `log` (a file for all that came in), `eof` "stay" (does not end when its input does).
"""

import json
import os
import pathlib
import signal
import subprocess
import sys

SCRIPT = json.loads(pathlib.Path(sys.argv[1]).read_text())
NAMES = {"session/new": "new", "session/load": "load", "session/resume": "resume", "session/fork": "fork"}


class OverError(Exception):
    """Nothing more comes in."""


class Agent:
    def __init__(self):
        self.prompts = list(SCRIPT.get("prompts", ()))
        self.session = None
        self.asked = 0
        self.answers = {}
        self.cancelled = False
        self.later = []

    # -- wire

    def write(self, message):
        print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)

    def read(self):
        line = sys.stdin.readline()
        if not line:
            if SCRIPT.get("eof") == "stay":
                while True:
                    signal.pause()
            raise OverError
        if "log" in SCRIPT:
            with pathlib.Path(SCRIPT["log"]).open("a") as log:
                log.write(line)
        return json.loads(line)

    def take(self, during_prompt):
        """One message: answers and cancels are noted, requests are answered."""
        message = self.read()
        if "method" not in message:
            self.answers[message["id"]] = message
        elif message["method"] == "session/cancel":
            self.cancelled = True
        elif message["method"] == "session/prompt":
            if during_prompt:
                self.later.append(message)
            else:
                self.prompt(message)
        else:
            self.answer(message)

    def answer(self, message):
        method = message["method"]
        name = NAMES.get(method, method.rpartition("/")[2])
        for update in SCRIPT.get(f"{name}_updates", ()):
            self.update(update, message["params"].get("sessionId"))
        told = SCRIPT.get(name, {})
        if isinstance(told, dict) and "error" in told:
            self.write({"id": message["id"], "error": told["error"]})
            return
        if method == "initialize":
            told = {"protocolVersion": 1, "agentInfo": {"name": "scripted", "version": "1.2.3"}, **told}
        elif method in ("session/new", "session/fork"):
            self.session = f"session-{os.getpid()}"
            told = {"sessionId": self.session, **told}
        elif method in ("session/load", "session/resume"):
            self.session = message["params"]["sessionId"]
        self.write({"id": message["id"], "result": told})
        for update in SCRIPT.get(f"{name}_late", ()):
            self.update(update)

    # -- prompts

    def prompt(self, message):
        self.cancelled = False
        for name, *arguments in self.prompts.pop(0) if self.prompts else [["end", "end_turn"]]:
            STEPS[name](self, message["id"], *arguments)

    def update(self, update, session=None):
        self.write({"method": "session/update", "params": {"sessionId": session or self.session, "update": update}})

    def say(self, _id, text, **more):
        self.update({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}, **more})

    def do(self, _id, update):
        self.update(update)

    def line(self, _id, text):
        print(text, flush=True)

    def notify(self, _id, method, params):
        self.write({"method": method, "params": params})

    def ask(self, _id, method, params, wait=True):
        """Ask, and remember the answer as the text `answer NUMBER: RESULT`."""
        self.asked += 1
        key = f"ask-{self.asked}"
        self.write({"id": key, "method": method, "params": {"sessionId": self.session, **params}})
        while wait and key not in self.answers:
            self.take(during_prompt=True)

    def withdraw(self, _id, number):
        key = f"ask-{number}"
        self.write({"method": "$/cancel_request", "params": {"requestId": key}})
        while key not in self.answers:
            self.take(during_prompt=True)

    def until_cancel(self, _id):
        while not self.cancelled:
            self.take(during_prompt=True)

    def until_answered(self, _id, number):
        while f"ask-{number}" not in self.answers:
            self.take(during_prompt=True)

    def tell_answers(self, _id):
        for key, message in sorted(self.answers.items()):
            self.say(None, f"{key}: {json.dumps(message.get('result', message.get('error')))}\n")

    def end(self, identifier, reason, **more):
        self.write({"id": identifier, "result": {"stopReason": reason, **more}})

    def end_with(self, identifier, result):
        self.write({"id": identifier, "result": result})

    def fail(self, identifier, error):
        self.write({"id": identifier, "error": error})

    def die(self, _id, words=""):
        print(words, file=sys.stderr, flush=True)
        os._exit(3)

    def daemon(self, _id, path):
        child = subprocess.Popen(["sleep", "300"], start_new_session=True, stdin=subprocess.DEVNULL)
        pathlib.Path(path).write_text(str(child.pid))


STEPS = {
    name: getattr(Agent, name)
    for name in (
        *("say", "do", "line", "notify", "ask", "withdraw", "until_cancel", "until_answered", "tell_answers"),
        *("end", "end_with", "fail", "die", "daemon"),
    )
}


def main():
    for line in SCRIPT.get("before", ()):
        print(line, flush=True)
    agent = Agent()
    try:
        while True:
            if agent.later:
                agent.prompt(agent.later.pop(0))
            agent.take(during_prompt=False)
    except OverError:
        pass


if __name__ == "__main__":
    main()
