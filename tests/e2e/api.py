"""The API server over HTTPS, without a client library."""

import http.client
import json
import pathlib
import ssl
import urllib.parse

from harness import Failed


class Api:
    """The API server, as its administrator."""

    def __init__(self, plane):
        pki = pathlib.Path(plane.work) / "pki"
        context = ssl.create_default_context(cafile=pki / "ca.crt")
        context.load_cert_chain(pki / "user-admin.crt", pki / "user-admin.key")
        self.host = urllib.parse.urlsplit(plane.env["APISERVER_URL"]).netloc
        self.context = context
        self.connection = None

    def ask(self, method, path, body=None, kind="application/json"):
        """The status and the body of the answer, whatever it is."""
        for last in (False, True):
            if self.connection is None:
                self.connection = http.client.HTTPSConnection(self.host, context=self.context, timeout=30)
            try:
                data = None if body is None else json.dumps(body)
                self.connection.request(method, path, data, {"Content-Type": kind})
                answer = self.connection.getresponse()
                return answer.status, answer.read()
            except (OSError, http.client.HTTPException):
                self.connection.close()
                self.connection = None
                if last:
                    raise
        raise AssertionError("the loop returns or raises")

    def call(self, method, path, body=None, kind="application/json", missing=False):
        status, text = self.ask(method, path, body, kind)
        if status == 404 and missing:
            return None
        if status >= 300:
            raise Failed(f"{method} {path}: {status} {text.decode()[:600]}")
        return json.loads(text)

    def watch(self, path, version, seconds=600):
        """Yields the events of a watch until it ends."""
        connection = http.client.HTTPSConnection(self.host, context=self.context, timeout=seconds + 30)
        try:
            connection.request("GET", f"{path}?watch=1&resourceVersion={version}&timeoutSeconds={seconds}")
            answer = connection.getresponse()
            if answer.status >= 300:
                raise Failed(f"watch {path}: {answer.status}")
            while line := answer.readline():
                yield json.loads(line)
        finally:
            connection.close()

    def create(self, path, body):
        return self.call("POST", path, body)

    def merge(self, path, body):
        return self.call("PATCH", path, body, "application/merge-patch+json")
