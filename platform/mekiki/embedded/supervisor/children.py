"""Commands of the web server, the workers, the sweeper and the schedule."""

import importlib.util
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Protocol

from mekiki.config import env
from mekiki.config.server import limits
from mekiki.embedded.process import Process

WORKER_GRACE = 20.0
# When memory runs out, the kernel should kill workers, not the web server or the database.
WORKER_OOM_SCORE = 500


class Server(Protocol):
    """The interface that the supervisor needs. PostgreSQL, Valkey and Process implement it."""

    log: Path

    @property
    def pid(self) -> int: ...

    def start(self) -> object: ...
    def alive(self) -> bool: ...
    def stop(self) -> object: ...


def child_environment(home: Path, database_url: str, broker_url: str) -> dict[str, str]:
    """Return the environment of the children: ours, with the servers' addresses and the source roots.

    Children connect as the application, so they do not get the URL of the database's owner
    (docs/decisions/0029). A checkout that is not installed has two source roots, and children must import
    from the same roots as this process.
    """
    roots = [str(Path(__file__).resolve().parents[3])]
    workers = importlib.util.find_spec("workers")
    if workers is not None and workers.origin is not None:
        roots.append(str(Path(workers.origin).resolve().parents[1]))
    path = [
        *dict.fromkeys(roots),
        *filter(None, env.child_environment({}).get("PYTHONPATH", "").split(os.pathsep)),
    ]
    return env.child_environment(
        {
            "DATABASE_OWNER_URL": "",
            "MEKIKI_HOME": str(home),
            "DATABASE_URL": database_url,
            "BROKER_URL": broker_url,
            "DJANGO_SETTINGS_MODULE": "mekiki.config.settings",
            "PYTHONPATH": os.pathsep.join(path),
            "PYTHONUNBUFFERED": "1",
        }
    )


# Only the worker signs, so no other process gets the path or passphrase of the private key.
FOR_WORKERS_ONLY = ("MEKIKI_SIGNING_KEY_FILE", "MEKIKI_SIGNING_PASSPHRASE")


def without_signing(environment: dict[str, str]) -> dict[str, str]:
    """Return the environment without the variables that give access to the private signing key."""
    return {name: value for name, value in environment.items() if name not in FOR_WORKERS_ONLY}


def _child(
    home: Path, name: str, command: list[str], environment: dict[str, str], **options: object
) -> Process:
    return Process(
        name,
        [sys.executable, "-m", *command],
        log=home / "logs" / f"{name}.log",
        pid_file=home / "run" / f"{name}.pid",
        env=environment,
        cwd=home,
        **options,  # type: ignore[arg-type]
    )


def web(home: Path, environment: dict[str, str], listener: socket.socket) -> Process:
    """Return the gunicorn process, on a socket that the supervisor holds.

    While gunicorn is restarted, requests wait instead of failing.
    """
    command = [
        "gunicorn", "mekiki.config.server.application:application",
        "--bind", f"fd://{listener.fileno()}",
        "--workers", str(max(1, env.number("MEKIKI_WEB_WORKERS"))),
        "--worker-class", "mekiki.config.server.worker.SiteWorker", "--asgi-lifespan", "off",
        # The main process imports the site once, and each worker is a copy of it.
        "--preload",
        "--timeout", "60", "--graceful-timeout", "8", "--keep-alive", str(limits.IDLE_SECONDS),
        # By default gunicorn creates a control socket in the user's home folder.
        "--no-control-socket",
    ]  # fmt: skip
    return _child(home, "web", command, without_signing(environment), pass_fds=(listener.fileno(),))


def worker(home: Path, environment: dict[str, str]) -> Process:
    """Return the Celery worker.

    A training or an import computes for minutes on all cores. The web server, the database and the search
    worker, for which somebody waits, come before it (MEKIKI_WORKER_NICE, docs/decisions/0056). On a GPU the
    worker is one process without a pool, because CUDA does not survive a fork.
    """
    solo = env.visible_gpu()
    pool = ["--pool", "solo"] if solo else ["--pool", "prefork"]
    concurrency = 1 if solo else max(1, env.number("MEKIKI_WORKER_CONCURRENCY"))
    command = [
        "celery", "--app", "mekiki.config.celery", "worker", *pool,
        "--concurrency", str(concurrency), "--include", "workers.tasks",
        "--hostname", "worker@%h", "--loglevel", env.text("MEKIKI_LOG_LEVEL"),
        "--without-gossip", "--without-mingle",
    ]  # fmt: skip
    # SIGTERM lets running tasks finish. After the supervisor was killed that is useless, because the database
    # ends too.
    options = {"death_signal": signal.SIGQUIT, "stop_grace": WORKER_GRACE, "oom_score": WORKER_OOM_SCORE}
    return _child(home, "worker", command, environment, **options, nice=env.number("MEKIKI_WORKER_NICE"))


def search(home: Path, environment: dict[str, str]) -> Process:
    """Return the worker that embeds the texts of searches.

    It is a separate small process, so that a search does not wait for a long job.
    """
    command = [
        "celery", "--app", "mekiki.config.celery", "worker", "--pool", "solo", "--queues", "interactive",
        "--include", "workers.tasks", "--hostname", "search@%h", "--loglevel", env.text("MEKIKI_LOG_LEVEL"),
        "--without-gossip", "--without-mingle",
    ]  # fmt: skip
    options = {"death_signal": signal.SIGQUIT, "oom_score": WORKER_OOM_SCORE}
    return _child(home, "search", command, without_signing(environment), **options)


def beat(home: Path, environment: dict[str, str]) -> Process:
    """Return Celery's beat, with the schedules that admins edit."""
    command = [
        "celery", "--app", "mekiki.config.celery", "beat", "--pidfile=",
        "--loglevel", env.text("MEKIKI_LOG_LEVEL"),
    ]  # fmt: skip
    return _child(home, "beat", command, without_signing(environment))


def sweeper(home: Path, environment: dict[str, str]) -> Process:
    """Return the process that resumes stalled jobs.

    Its interval does not depend on the machine's clock.
    """
    return _child(home, "sweeper", ["mekiki", "sweeper"], without_signing(environment))


def worker_installed() -> bool:
    """Return whether the packages of the worker are installed.

    An installation of the web part alone has no torch.
    """
    return importlib.util.find_spec("torch") is not None and importlib.util.find_spec("workers") is not None
