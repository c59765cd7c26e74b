"""The web server against slow, large and malformed requests.

The tests start the real server on the database of the tests.
"""

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
from django.conf import settings
from django.db import connection
from django.test import Client

from mekiki.accounts.models import Role
from mekiki.embedded.supervisor import children
from mekiki.embedded.supervisor.listener import listen
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[int]:
    """Start a web server as `mekiki up` does, with one process and short deadlines (quick_site.py)."""
    home = tmp_path_factory.mktemp("server")
    database = connection.settings_dict
    credentials = f"{database['USER']}:{quote(database['PASSWORD'], safe='')}"
    url = f"postgresql://{credentials}@/{database['NAME']}?host={quote(database['HOST'], safe='')}"
    environment = children.child_environment(Path(settings.HOME), url, "memory://")
    environment |= {"MEKIKI_WEB_WORKERS": "1", "MEKIKI_SECRET_KEY": str(settings.SECRET_KEY)}
    listener = listen("127.0.0.1", 0)
    number: int = listener.getsockname()[1]
    server = children.web(home, environment, listener)
    server.command[server.command.index("--workers") + 1] = "1"
    server.command[server.command.index("mekiki.config.server.application:application")] = (
        "tests.config.quick_site:application"
    )
    server.start()
    try:
        assert b"200 OK" in send(
            number, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 60
        )
        yield number
    finally:
        server.stop()
        listener.close()
        print(server.log.read_text()[-3000:])


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def read(client_socket: socket.socket, seconds: float = 20) -> bytes:
    """Read until the server closes the connection."""
    client_socket.settimeout(seconds)
    received = b""
    with contextlib.suppress(ConnectionError):
        while data := client_socket.recv(65536):
            received += data
    return received


def send(port: int, data: bytes, seconds: float = 20) -> bytes:
    with connect(port) as client_socket:
        with contextlib.suppress(ConnectionError):
            client_socket.sendall(data)
        return read(client_socket, seconds)


def post(path: str, length: int, headers: str = "") -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {length}\r\nConnection: close\r\n{headers}\r\n"
    ).encode()


def session_headers(user: object) -> str:
    browser = Client()
    browser.force_login(user)  # type: ignore[arg-type]
    token = "a" * 32
    session = browser.cookies[settings.SESSION_COOKIE_NAME].value
    return f"Cookie: sessionid={session}; csrftoken={token}\r\nX-CSRFToken: {token}\r\n"


def test_slow_clients_occupy_no_thread_and_are_disconnected(port: int) -> None:
    """Ten times as many connections of each kind as there are threads. The site still answers at once."""
    slow = [connect(port) for _ in range(240)]
    for number, client_socket in enumerate(slow):
        client_socket.sendall(
            [b"GET /acc", b"GET / HTTP/1.1\r\nX-A: ", post("/accounts/login/", 1000) + b"user"][number % 3]
        )
    for _ in range(5):
        start = time.monotonic()
        answer = send(port, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert b"200 OK" in answer
        assert time.monotonic() - start < 5
    answers = []
    for number, client_socket in enumerate(slow):
        answers.append(read(client_socket, 40))
        assert answers[-1] == b"" or (number % 3 == 2 and b" 408 " in answers[-1])
        client_socket.close()
    # On a busy machine some connections are reset before the client reads the answer.
    assert sum(b" 408 " in answer for answer in answers) > 40


def test_large_bodies_before_the_login_are_refused(port: int) -> None:
    large = 400 * 1024 * 1024
    forged = "Cookie: sessionid=abcdefghijklmnopqrstuvwxyz012345\r\n"
    for path in ("/accounts/login/", "/d/parts/import/", "/api/v1/datasets/parts/review/next", "/nowhere/"):
        for headers in ("", forged):
            with connect(port) as client_socket:
                client_socket.sendall(post(path, large, headers) + b"x" * 1000)
                assert b"HTTP/1.1 413" in read(client_socket), path
    japanese = send(port, post("/accounts/login/", large, "Accept-Language: ja\r\n"))
    assert "大きすぎ".encode() in japanese
    # One request without a length, and one with a wrong length.
    chunked = post("/accounts/login/", 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    assert b"HTTP/1.1 413" in send(port, chunked + (b"4000\r\n" + b"x" * 0x4000 + b"\r\n") * 3)
    with_both_headers = post("/accounts/login/", 5, "Transfer-Encoding: chunked\r\n")
    assert b" 400 " in send(port, with_both_headers + b"0\r\n\r\n").split(b"\r\n")[0]
    # A login form of normal size arrives: it is refused because of its token, not because of its size.
    assert b"HTTP/1.1 403" in send(port, post("/accounts/login/", 1000) + b"x" * 1000)


def test_request_headers_are_limited(port: int) -> None:
    many_headers = b"".join(b"X-%d: a\r\n" % number for number in range(3000))
    for head in (
        b"GET /" + b"a" * 60000,
        b"GET / HTTP/1.1\r\nX: " + b"a" * 60000,
        b"GET / HTTP/1.1\r\n" + many_headers,
    ):
        answer = send(port, head + b"\r\n\r\n").split(b"\r\n")[0]
        assert answer == b"" or answer.split()[1] in (b"400", b"414", b"431"), answer


def test_members_have_separate_limits_for_forms_and_files(port: int) -> None:
    dataset = factories.DatasetFactory(slug="parts", admin=(user := factories.UserFactory()))
    headers = session_headers(user)
    path = "/d/parts/import/"
    # Larger than a form, at an address without files. Larger than an archive, at an address with files.
    assert b"HTTP/1.1 413" in send(port, post("/accounts/me/", 6 * 2**20, headers))
    assert b"HTTP/1.1 413" in send(port, post(path, settings.MAX_ARCHIVE_BYTES * 2, headers))
    # The complete file arrives through the thread that handles it, and memory stays flat.
    begin = (
        b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n'
        b"Content-Type: image/png\r\n\r\n"
    )
    size = 60 * 2**20
    end = b"\r\n--b--\r\n"
    head = post(path, len(begin) + size + len(end), headers).replace(
        b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=b"
    )
    server = next(
        p for p in psutil.net_connections() if p.laddr and p.laddr.port == port and p.status == "LISTEN"
    ).pid
    processes = [psutil.Process(server), *psutil.Process(server).children(recursive=True)]
    before = max(p.memory_info().rss for p in processes)
    with connect(port) as client_socket:
        client_socket.sendall(head + begin)
        for _ in range(size // 2**20):
            client_socket.sendall(b"x" * 2**20)
        client_socket.sendall(end)
        answer = read(client_socket)
    assert b"HTTP/1.1 302" in answer, answer[:300]
    assert max(p.memory_info().rss for p in processes) - before < 40 * 2**20
    from mekiki.datasets.models import ImportBatch

    assert ImportBatch.objects.get(dataset=dataset).pk


def test_responses_follow_http(port: int) -> None:
    """HEAD, static files, cookies, streams and kept-alive connections, as clients of any server expect."""
    user = factories.UserFactory()
    dataset = factories.DatasetFactory(slug="parts")
    from mekiki.accounts.services import set_role

    set_role(dataset=dataset, user=user, role=Role.ADMIN, actor=None)
    with connect(port) as client_socket:
        for _ in range(3):  # one connection
            client_socket.sendall(b"HEAD /accounts/login/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client_socket.recv(65536).startswith(b"HTTP/1.1 200")
    page = send(port, b"GET /accounts/login/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    head, body = page.split(b"\r\n\r\n", 1)
    assert b"csrftoken=" in head and f"Content-Length: {len(body)}".encode() in head
    static = f"/{settings.STATIC_URL.strip('/')}/mekiki/css/base.css"
    reply = send(port, f"GET {static} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    file = Path(__file__).parents[2] / "platform/mekiki/web/static/mekiki/css/base.css"
    assert reply.split(b"\r\n\r\n", 1)[1] == file.read_bytes()
    stream = (
        "GET /d/parts/activity/events.csv HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"{session_headers(user)}\r\n"
    )
    head, body = send(port, stream.encode()).split(b"\r\n\r\n", 1)
    assert b" 200 " in head and b"chunked" in head and body.endswith(b"0\r\n\r\n")
    unicode = send(
        port, "GET /d/日本/%E6%97%A5/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    )
    assert unicode.split()[1] in (b"302", b"400", b"404")


def test_client_that_does_not_read_delays_no_other_page(port: int) -> None:
    page = b"GET /accounts/login/ HTTP/1.1\r\nHost: localhost\r\n\r\n"
    slow = []
    for _ in range(20):
        client_socket = socket.socket()
        client_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client_socket.connect(("127.0.0.1", port))
        client_socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            client_socket.send(page * 500)
        slow.append(client_socket)
    start = time.monotonic()
    assert b"200 OK" in send(port, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert time.monotonic() - start < 10
    for client_socket in slow:
        client_socket.close()
