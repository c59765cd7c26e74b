"""The site as it is served, with short deadlines so that tests do not wait for long ones."""

from mekiki.config.server import limits

limits.HEAD_SECONDS = 1.5
limits.ANONYMOUS_SECONDS = 2.5
limits.STALL_SECONDS = 3.0

from mekiki.config.server.application import application  # noqa: E402, F401
