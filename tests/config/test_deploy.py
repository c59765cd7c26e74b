"""The files of deploy/: they set the same limits as the site, and TLS in a way that the site knows."""

import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings

from mekiki.config import env
from mekiki.config.server import limits

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
NGINX = (DEPLOY / "nginx.conf").read_text()
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]


def directive(name: str, text: str = NGINX) -> list[str]:
    """Return the values of a directive, in order."""
    return re.findall(rf"^\s*{name}\s+(.+);", text, re.MULTILINE)


def size(value: str) -> int:
    return int(value[:-1]) * {"k": 2**10, "m": 2**20}[value[-1]]


def location(start: str) -> str:
    return NGINX.split(f"location {start} {{")[1].split("}")[0]


def test_nginx_has_the_limits_of_the_site() -> None:
    assert directive("client_header_timeout") == [f"{limits.HEAD_SECONDS:.0f}s"]
    assert directive("client_body_timeout") == directive("send_timeout") == [f"{limits.STALL_SECONDS:.0f}s"]
    count, buffer_size = directive("large_client_header_buffers")[0].split()
    assert int(count) * size(buffer_size) == limits.HEAD_BYTES
    assert size(directive("client_max_body_size")[0]) == settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    assert size(directive("client_max_body_size", location("/accounts/"))[0]) == limits.ANONYMOUS_BYTES
    files = location("~ ^/(d/[^/]+/import/|api/v1/datasets/[^/]+/imports/(upload|manifest)$)")
    archive = int(env.VARIABLES["MEKIKI_MAX_ARCHIVE_MB"].default) * 2**20
    assert size(directive("client_max_body_size", files)[0]) == archive + settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    assert directive("proxy_request_buffering", files) == ["off"]
    upstream = NGINX.split("upstream mekiki {")[1].split("}")[0]
    assert int(directive("keepalive_timeout", upstream)[0][:-1]) < limits.IDLE_SECONDS


def test_nginx_passes_the_client_address_and_no_forged_headers() -> None:
    headers = dict(value.split(maxsplit=1) for value in directive("proxy_set_header"))
    assert headers["X-Forwarded-For"] == "$remote_addr"
    assert headers["X-Forwarded-Proto"] == "$scheme"
    assert headers["Host"] == "$http_host"


def test_compose_passes_tls_to_all_parts_and_the_password_to_web_only() -> None:
    parts = {name: part for name, part in SERVICES.items() if part.get("image") == "mekiki"}
    assert {"web", "worker", "search", "beat"} <= set(parts)
    for name, part in parts.items():
        variables = part["environment"]
        assert {"MEKIKI_HTTPS", "MEKIKI_TRUSTED_ORIGINS", "MEKIKI_TRUSTED_PROXIES"} <= set(variables), name
        assert ("MEKIKI_ADMIN_PASSWORD" in variables) == (name == "web"), name
        assert {key for key in variables if key.startswith("MEKIKI_")} <= set(env.VARIABLES), name
        sign_on = {key for key in env.VARIABLES if key.startswith("MEKIKI_OIDC_")}
        assert sign_on & set(variables) == (sign_on if name == "web" else set()), name
    assert "./oidc:/run/oidc:ro" in SERVICES["web"]["volumes"]
    assert all(port.startswith("127.0.0.1:") for port in SERVICES["web"]["ports"])
    proxy = SERVICES["proxy"]
    address = proxy["networks"]["front"]["ipv4_address"]
    assert parts["web"]["environment"]["MEKIKI_TRUSTED_PROXIES"] == f"${{MEKIKI_TRUSTED_PROXIES:-{address}}}"
    assert "front" in SERVICES["web"]["networks"] and "default" in SERVICES["web"]["networks"]
    assert "./nginx.conf:/etc/nginx/nginx.conf:ro" in proxy["volumes"]
    assert proxy["profiles"] == ["tls"]
    published = {name for name, part in SERVICES.items() if "ports" in part}
    assert published == {"web", "proxy"}


class Echo(BaseHTTPRequestHandler):
    """A server that answers with the headers of the request."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        text = str(self.headers).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST

    def log_message(self, *_arguments: object) -> None:
        """Write no log."""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed here")
def test_nginx_applies_the_configuration_file(tmp_path: Path) -> None:
    from tests.config.certificates import write_certificate

    site = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    plain, secure = free_port(), free_port()
    write_certificate(tmp_path)
    text = NGINX.replace("web:8000", f"127.0.0.1:{site.server_address[1]}").replace(
        "/etc/nginx/tls", str(tmp_path)
    )
    text = text.replace("listen 80;", f"listen 127.0.0.1:{plain};")
    text = text.replace("listen 443 ssl;", f"listen 127.0.0.1:{secure} ssl;")
    temporary = "\n".join(
        f"    {kind}_temp_path {tmp_path}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = text.replace("http {\n", f"http {{\n{temporary}\n", 1)
    file = tmp_path / "nginx.conf"
    # When root runs the test, nginx serves as a user who may not read the folder of a test.
    file.write_text(f"daemon off;\npid {tmp_path}/pid;\nerror_log stderr;\nuser root;\n" + text)
    server = subprocess.Popen(
        ["nginx", "-c", str(file), "-p", str(tmp_path), "-e", "stderr"], stderr=subprocess.PIPE
    )
    trust = ssl.create_default_context(cafile=str(tmp_path / "fullchain.pem"))

    def send(data: bytes, port: int = secure) -> Any:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as raw:
            client_socket = trust.wrap_socket(raw, server_hostname="localhost") if port == secure else raw
            client_socket.sendall(data)
            received = b""
            while part := client_socket.recv(65536):
                received += part
        return received.decode()

    try:
        end = time.monotonic() + 20
        while True:
            try:
                answer = send(b"GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", plain)
                break
            except OSError:
                assert server.poll() is None and time.monotonic() < end, server.communicate()
                time.sleep(0.05)
        assert " 301 " in answer and "Location: https://localhost/x" in answer
        head = "HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Forwarded-For: 198.51.100.66\r\n"
        echoed_headers = send(f"GET / {head}X-Forwarded-Proto: http\r\n\r\n".encode())
        assert "X-Forwarded-For: 127.0.0.1\n" in echoed_headers and "198.51.100.66" not in echoed_headers
        assert "X-Forwarded-Proto: https" in echoed_headers and "Host: localhost" in echoed_headers

        def status(path: str, length: int) -> str:
            return str(
                send(f"POST {path} {head}Content-Length: {length}\r\n\r\n".encode() + b"x" * 100)[9:12]
            )

        assert status("/accounts/login/", 17 * 1024) == "413"
        assert status("/accounts/login/", 100) == "200"
        assert status("/d/parts/labels/", 6 * 2**20) == "413"
        assert status("/d/parts/import/", 5000 * 2**20) == "413"
    finally:
        server.terminate()
        server.wait(10)
        site.shutdown()
        site.server_close()
