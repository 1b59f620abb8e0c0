"""What Assay asks for with a token: the least that each job can do with."""

from __future__ import annotations

READ = {"contents": "read", "pull_requests": "read"}
CLONE = {"contents": "read"}
WRITE = {"checks": "write", "pull_requests": "write"}
CHECK = {"checks": "write"}
RESOLVE = {"contents": "write", "pull_requests": "write"}
CONFIG = {"contents": "read"}
TEAMS = {"members": "read"}
SCAN = {"security_events": "write"}
OVERVIEW = {"checks": "read", "contents": "read", "pull_requests": "read"}
