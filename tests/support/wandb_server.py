"""A W&B server on loopback: what W&B's client and `wandb sync` talk to, kept in memory. It can fail on purpose."""

import gzip
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "0123456789" * 4
VIEWER = {"id": "me", "entity": "mine", "username": "me", "email": "", "flags": "{}", "teams": {"edges": []}}


class Uploaded:
    """What the server knows of one W&B run."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}  # of the last UpsertBucket: displayName, groupName, tags, config, ...
        self.config: dict[str, Any] = {}
        self.history: list[dict[str, Any]] = []
        self.summary: dict[str, Any] = {}
        self.exit_code: int | None = None
        self.files: dict[str, bytes] = {}

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The history without W&B's own keys."""
        return [{key: value for key, value in row.items() if not key.startswith("_")} for row in self.history]


class WandbServer(ThreadingHTTPServer):
    """Answers GraphQL, file streams and uploads, until rows would be more than `most`; then it has a `fault` for good:
    it answers 500, hangs, or is gone.
    """

    daemon_threads = True

    def __init__(self, fault: str = "", most: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.fault, self.most, self.over = fault, most, threading.Event()
        self.fails = bool(fault) and most == 0
        self.runs: dict[str, Uploaded] = {}  # by id
        self.lock = threading.Lock()

    @property
    def variables(self) -> dict[str, str]:
        """What leads W&B here."""
        return {"WANDB_BASE_URL": f"http://127.0.0.1:{self.server_port}", "WANDB_API_KEY": KEY}

    def handle_error(self, *_request: Any) -> None:
        """Say nothing of a client that has gone."""

    def end(self) -> None:
        """Let go of the port."""
        self.shutdown()
        self.server_close()

    def graphql(self, query: str, given: dict[str, Any]) -> dict[str, Any]:
        """The answer to a query."""
        name = re.search(r"(?:query|mutation)\s+(\w+)", query)[1]
        run = self.runs.setdefault(given["name"], Uploaded()) if name == "UpsertBucket" else None
        project = {
            "id": "p",
            "name": given.get("project"),
            "entity": {"id": "e", "name": given.get("entity") or "mine"},
        }
        if name == "UpsertBucket":
            run.asked |= {key: value for key, value in given.items() if value is not None}
            if given.get("config"):
                run.config = {key: one["value"] for key, one in json.loads(given["config"]).items() if key != "_wandb"}
            bucket = {"id": given["name"], "name": given["name"], "displayName": given.get("displayName")}
            bucket |= {"project": project, "historyLineCount": len(run.history)}
            return {"upsertBucket": {"bucket": bucket, "inserted": not run.history}}
        if name == "RunResumeStatus":
            return {"model": project | {"bucket": self.resume_status(given["name"])}}
        if name == "CreateRunFiles":
            address = self.variables["WANDB_BASE_URL"]
            files = [{"name": file, "uploadUrl": f"{address}/upload/{given['run']}/{file}"} for file in given["files"]]
            return {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": files}}
        answers = {"Viewer": {"viewer": VIEWER}, "ServerFeaturesQuery": {"serverInfo": {"features": []}}}
        return answers.get(name, {})

    def resume_status(self, run_id: str) -> dict[str, Any] | None:
        """What a resumed run asks for."""
        run = self.runs.get(run_id)
        if run is None:
            return None
        counts = {"historyLineCount": len(run.history), "eventsLineCount": 0, "logLineCount": 0}
        tail = json.dumps([json.dumps(row) for row in run.history[-1:]])
        config = json.dumps({key: {"value": value} for key, value in run.config.items()})
        texts = {"summaryMetrics": json.dumps(run.summary), "historyTail": tail, "eventsTail": "[]", "config": config}
        return {"id": run_id, "name": run_id, "displayName": run.asked.get("displayName"), **counts, **texts} | {
            "tags": run.asked.get("tags"),
            "notes": None,
            "wandbConfig": '{"t": 1}',
        }

    def take_stream(self, run: Uploaded, sent: dict[str, Any]) -> None:
        """Take a piece of a run's files: lines go where its offset says, so one that comes again changes nothing."""
        for name, piece in (sent.get("files") or {}).items():
            lines = [json.loads(line) for line in piece["content"]] if name.endswith((".jsonl", ".json")) else []
            if name == "wandb-history.jsonl":
                run.history[piece["offset"] : piece["offset"] + len(lines)] = lines
            elif name == "wandb-summary.json":
                run.summary = lines[-1]
        if sent.get("complete"):
            run.exit_code = sent.get("exitcode")


def rows_in(stream: dict[str, Any]) -> int:
    """Rows that a piece of a run's files comes to."""
    piece = (stream.get("files") or {}).get("wandb-history.jsonl", {"offset": 0, "content": []})
    return piece["offset"] + len(piece["content"])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_words: Any) -> None:
        """Say nothing."""

    def body(self) -> bytes:
        """The body of the request, which may be chunked and compressed."""
        content = b""
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while size := int(self.rfile.readline().split(b";")[0], 16):
                content += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(content) if self.headers.get("Content-Encoding") == "gzip" else content

    def answer(self) -> None:
        """Answer any request."""
        content, server, code, said = self.body(), self.server, 200, {}
        with server.lock:
            stream = json.loads(content) if self.path.endswith("/file_stream") else {}
            server.fails = server.fails or (bool(server.fault) and rows_in(stream) > server.most)
            fault = server.fault if server.fails else ""
            if fault == "500":
                code, said = 500, {"error": "on purpose"}
            elif not fault and self.path == "/graphql":
                asked = json.loads(content)
                said = {"data": server.graphql(asked["query"], asked.get("variables") or {})}
            elif not fault and stream:
                server.take_stream(server.runs[self.path.split("/")[-2]], stream)
            elif not fault and self.path.startswith("/upload/"):
                _, _, run_id, name = self.path.split("/", 3)
                server.runs[run_id].files[name] = content
        if fault == "hang":
            server.over.wait()
        if fault == "gone":
            threading.Thread(target=server.end).start()  # nobody else can connect
        if fault in ("hang", "gone"):
            self.close_connection = True
            return
        text = json.dumps(said).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = answer


@contextmanager
def wandb_server(fault: str = "", most: int = 0) -> Iterator[WandbServer]:
    """A server on a free port, until the end of the block."""
    server = WandbServer(fault, most)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.end()
        thread.join(5)
