"""The page's server gives one run's page, values and figures to this machine, and nothing else."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from reported import make_run

from sslcli.errors import SslcliError
from sslcli.tools.watch.sight import Watched
from sslcli.tools.watch.web import WatchServer


class Got(NamedTuple):
    status: int
    headers: dict[str, str]
    content: bytes


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WatchServer]:
    (tmp_path / "secret.png").write_bytes(b"\x89PNG\r\n\x1a\nsecret")
    with WatchServer(Watched(make_run(tmp_path / "run")), 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def get(server: WatchServer, path: str, host: str = "127.0.0.1", method: str = "GET") -> Got:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host)
    connection.endheaders()
    answer = connection.getresponse()
    got = Got(answer.status, dict(answer.getheaders()), answer.read())
    connection.close()
    return got


def test_it_gives_the_page_the_values_and_the_figures(server: WatchServer) -> None:
    own = f"/{server.word}/"
    assert server.address == f"http://127.0.0.1:{server.server_port}{own}"
    page = get(server, own)
    assert page.status == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert b"simclr on fashion_sample: pretrain" in page.content
    values = get(server, f"{own}values.json?")
    assert json.loads(values.content)["status"] == "finished"
    version = values.headers["X-Version"]
    assert get(server, f"{own}values.json?{version}")[::2] == (204, b"")
    figure = get(server, f"{own}figures/views.png?1")
    run = server.watched.folder
    assert figure.content == (run / "figures" / "views.png").read_bytes()
    assert figure.headers["Content-Type"] == "image/png"
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 21, "epoch": 2.1, "loss": 0.1}\n')
    assert get(server, f"{own}values.json?{version}").status == 200
    for got in (page, values, figure):
        assert got.headers["Cache-Control"] == "no-store"
        assert got.headers["X-Content-Type-Options"] == "nosniff"
        assert got.headers["Cross-Origin-Resource-Policy"] == "same-origin"


OUTSIDE = (
    "run.json",
    "config.yaml",
    "metrics.jsonl",
    "figures",
    "figures/",
    "figures/none.png",
    "../secret.png",
    "figures/../../secret.png",
    "%2e%2e/secret.png",
    "figures/..%2f..%2fsecret.png",
    "..%5csecret.png",
    "//etc/passwd",
    "figures/fake.png",
    "figures/out.png",
    "figures/views.png/",
    "figures/views.png%00",
    "values.json/",
)


def test_no_other_file_is_reached(server: WatchServer) -> None:
    figures = server.watched.folder / "figures"
    (figures / "fake.png").write_bytes(b"no picture")
    (figures / "out.png").symlink_to(server.watched.folder.parent / "secret.png")
    for path in OUTSIDE:
        assert get(server, f"/{server.word}/{path}")[::2] == (404, b""), path
    for path in ("/", "/favicon.ico", f"/{server.word}", f"/{server.word}x/", "//", "*", "/%ff/"):
        assert get(server, path)[::2] == (404, b""), path
    assert get(server, f"/{server.word}/", method="POST").status == 501
    assert get(server, f"/{server.word}/").status == 200, "it still answers"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[::1]"]
)
def test_a_page_of_another_name_reads_nothing(server: WatchServer, host: str) -> None:
    """The browser was told that evil.example is this machine (DNS rebinding)."""
    assert get(server, f"/{server.word}/", host)[::2] == (404, b"")
    for own in ("localhost", "localhost:9000", f"127.0.0.1:{server.server_port}"):
        assert get(server, f"/{server.word}/", own).status == 200


def test_it_listens_on_the_loopback_alone_with_a_new_word_each_time(
    server: WatchServer, tmp_path: Path
) -> None:
    assert server.socket.getsockname()[0] == "127.0.0.1"
    with WatchServer(Watched(tmp_path / "run"), 0) as other:
        assert other.word != server.word
        assert len(other.word) >= 16
    with pytest.raises(SslcliError, match=f"port {server.server_port} of 127.0.0.1 cannot be used"):
        WatchServer(Watched(tmp_path / "run"), server.server_port)
    with pytest.raises(SslcliError, match="port 70000"):
        WatchServer(Watched(tmp_path / "run"), 70000)


def test_a_browser_that_goes_away_stops_nothing(
    server: WatchServer, capfd: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", server.server_port)) as raw:
            raw.sendall(f"GET /{server.word}/ HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert get(server, f"/{server.word}/").status == 200
    assert capfd.readouterr().err == ""


def test_a_removed_run_is_still_answered(server: WatchServer) -> None:
    own = f"/{server.word}/"
    assert get(server, own).status == 200
    server.watched.folder.rename(server.watched.folder.with_name("moved"))
    values = json.loads(get(server, f"{own}values.json?").content)
    assert values["status"] == "gone"
    assert values["charts"][0]["title"] == "loss"
    assert get(server, f"{own}figures/views.png").status == 404
