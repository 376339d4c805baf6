"""Clients that make everything happen, over and over."""

import http.client
import itertools
import json
import threading

# Each fails in its way, and its second candidate answers.
FAILING = ["north/" + name for name in (
    "barred", "big", "broken", "busy", "down", "empty", "filtered", "gone",
    "late", "limited", "odd", "reset", "torn")] + ["refused/m", "shut/m", "east/quota"]
ENDPOINTS = {
    "chat/completions": {"messages": [{"role": "user", "content": "Hello"}]},
    "completions": {"prompt": "Hello"},
    "embeddings": {"input": "Hello"},
    "responses": {"input": "Hello"},
}


class Traffic:
    """Runs in threads until it is told to stop."""

    def __init__(self, listen, keys):
        self.listen, self.keys = listen, keys
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(n,), daemon=True) for n in range(4)]
        # Of requests that went otherwise than they should.
        self.wrong = []

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def run(self, number):
        acts = [act for name in FAILING if name != "north/torn" for act in self.over(name)]
        acts += [
            lambda: self.ask(["north/busy", "south/good"], 200, endpoint="completions", stream=True),
            lambda: self.ask(["south/good"], 200, endpoint="embeddings"),
            lambda: self.ask(["north/down", "south/other"], 200, endpoint="responses", stream=True),
            lambda: self.ask(["south/other"], 200, key="batch"),
            # Answers that break off.
            lambda: self.ask(["north/torn"], 200, stream=True),
            # Every candidate fails.
            lambda: self.ask(["north/odd", "north/big"], 400),
            # Some of the list is unknown, or not for this key.
            lambda: self.ask(["nobody/knows", "south/good"], 200),
            lambda: self.ask(["south/good", "south/other"], 200, key="batch"),
            # Drills.
            lambda: self.ask(["south/good", "south/other"], 200, fails="south/good=503"),
            lambda: self.ask(["south/good"], 504, fails="south/good=timeout"),
            # Refused.
            lambda: self.ask(["nobody/knows"], 404),
            lambda: self.ask(["south/good"], 401, key=None),
            # Clients that leave: in the midst of an answer, and before it.
            lambda: self.leave("east/endless", 200),
            lambda: self.leave("north/late", 0),
        ]
        for act in itertools.islice(itertools.cycle(acts), number * len(acts) // 4, None):
            if self.stopped.wait(0.02):
                return
            act()

    def over(self, name):
        yield lambda: self.ask([name, "south/good"], 200)
        yield lambda: self.ask([name, "south/other"], 200, stream=True)

    def ask(self, models, status, key="search", endpoint="chat/completions", stream=False, fails=None):
        try:
            connection = self.send(models, key, endpoint, stream, fails)
            answer = connection.getresponse()
            text = answer.read()
            connection.close()
            if answer.status != status:
                self.wrong.append(f"{models}: {answer.status} {text[:200]}")
        except (OSError, http.client.HTTPException) as error:
            self.wrong.append(f"{models}: {error!r}")

    def leave(self, model, some):
        """Leaves once it has read so many bytes, or waited for a moment."""
        connection = self.send([model], "search", "chat/completions", True)
        if some:
            connection.getresponse().read(some)
        else:
            self.stopped.wait(0.1)
        connection.close()

    def send(self, models, key, endpoint, stream, fails=None):
        host, port = self.listen.split(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=30)
        body = dict(ENDPOINTS[endpoint], models=models)
        if stream:
            body["stream"] = True
        headers = {"content-type": "application/json"}
        if key:
            headers["authorization"] = f"Bearer {self.keys[key]}"
        if fails:
            headers["x-standin-fail"] = fails
        connection.request("POST", f"/v1/{endpoint}", json.dumps(body), headers)
        return connection
