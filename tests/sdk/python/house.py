"""The running `standin` and the scripted providers behind it.

One child process holds both and ends with its standard input, so nothing is
left behind however the tests end. It answers questions about the providers,
one line of JSON for each.
"""

import atexit
import json
import os
import subprocess

from openai import OpenAI


class House:
    def __init__(self):
        self.start()
        atexit.register(self.end)

    def anew(self):
        """Nothing is remembered of what was asked before."""
        self.end()
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [os.environ["LOAD_TESTS"], "mock", "--script", "sdk", "--standin", os.environ["STANDIN"]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.base_url = self.line()["standin"]["base_url"]

    def line(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the mock process has ended")
        return json.loads(line)

    def ask(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        answer = self.line()
        if answer is not None and "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def asked(self, model):
        """How often the provider was asked for this model."""
        provider, name = model.split("/")
        return self.ask("asked", provider, name)["asked"]

    def last(self, provider):
        """The last request that this provider was sent."""
        return self.ask("last", provider)

    def cancelled(self, provider):
        """How many of this provider's answers were left by their reader."""
        return self.ask("counts", provider)["cancelled"]

    def wait_cancelled(self, provider, answers):
        """Returns when so many were."""
        self.ask("cancelled", provider, answers)

    def client(self, **options):
        return OpenAI(base_url=self.base_url, api_key="sk-client", **options)

    def end(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


HOUSE = House()
