"""The one-machine installation: one process starts, watches, restarts and stops all servers.

The servers are children of that process. `mekiki up` runs `Supervisor` in the foreground. `Platform` runs
`mekiki up` as a child, for the demo, the replay and tests.
"""

from mekiki.embedded.lock import AlreadyRunningError, HomeLock
from mekiki.embedded.supervisor.platform import Platform, PlatformError
from mekiki.embedded.supervisor.supervisor import Supervisor, SupervisorError

__all__ = ["AlreadyRunningError", "HomeLock", "Platform", "PlatformError", "Supervisor", "SupervisorError"]
