"""Who is in a team of an organisation. Needs `members: read`, which Assay can do without."""

from __future__ import annotations

from urllib.parse import quote

from bot.errors import Gone
from bot.github.answers import Seen, read
from bot.github.client import Api


class _Membership(Seen):
    state: str


class Teams:
    """The teams of one organisation."""

    def __init__(self, api: Api, organisation: str) -> None:
        self._api = api
        self._organisation = organisation

    def has(self, team: str, login: str) -> bool:
        """Whether somebody is an active member of the team, given by its slug; an invitation is no membership. False
        for a team that is not there or may not be seen. Raises Refused where the permission was not granted."""
        names = (quote(name, safe="") for name in (self._organisation, team, login))
        try:
            data = self._api.request("GET", "/orgs/{}/teams/{}/memberships/{}".format(*names))
        except Gone:
            return False
        return read(_Membership, data).state == "active"
