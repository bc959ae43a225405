"""Settings of an admin API, one section of a server's settings. Times are seconds, sizes bytes."""

from __future__ import annotations

import ipaddress
from typing import Annotated

import msgspec

from serving.config.ldapsettings import LdapSettings
from serving.config.oidcsettings import OidcSettings
from serving.config.setting import DAY_S, GIB, PORT, Setting


class AdminSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The settings of an admin API: its address, the names and networks that it lets in, its sessions."""

    # fmt: off
    # Where administrators connect, over TLS. Empty: this machine only. 0.0.0.0 is every address; behind a firewall only.
    host: Annotated[str, Setting(help="Address of the admin API; empty: this machine only.")] = ""
    port: Annotated[int, Setting(help="Its port; 0 none.", low=0, high=PORT)] = 4000
    allowed_hostnames: Annotated[str, Setting(help="Host names it may be called by; empty: any.")] = ""
    api_addresses: Annotated[str, Setting(help="Networks that may use API keys.")] = "0.0.0.0/0,::/0"
    # Networks that may manage API keys with name and password.
    key_management_addresses: Annotated[str, Setting(help="Networks that may manage API keys.")] = "127.0.0.0/8,::1"
    requests_per_second: Annotated[int, Setting(help="Requests a second from one address; 0 no limit.", low=0, high=1000000)] = 20
    requests_per_minute: Annotated[int, Setting(help="The same a minute.", low=0, high=1000000)] = 600
    request_bytes: Annotated[int, Setting(help="Largest request.", low=1024, high=GIB)] = 50 * 1024
    upload_bytes: Annotated[int, Setting(help="Largest file that is uploaded.", low=1024, high=GIB)] = 10 * 1024 * 1024
    session_idle_s: Annotated[float, Setting(help="When a session that nobody uses ends.", low=1, high=DAY_S)] = 1800.0
    login_attempts: Annotated[int, Setting(help="Wrong passwords before a name is locked.", low=1, high=1000)] = 10
    login_lock_s: Annotated[float, Setting(help="For how long.", low=1, high=DAY_S)] = 300.0
    # New API keys end after so many days unless asked otherwise; 0: never.
    api_key_days: Annotated[int, Setting(help="Days an API key lives; 0 for ever.", low=0, high=36500)] = 0
    public_openapi: Annotated[bool, Setting(help="Whether the API's description is given without a login.")] = False
    ldap: Annotated[LdapSettings, Setting(help="Logging in with a name and password of an LDAP directory.")] = LdapSettings()
    oidc: Annotated[OidcSettings, Setting(help="Logging in with an OpenID provider.")] = OidcSettings()
    # fmt: on


def local_host(host: str) -> str:
    """An address of this machine that nobody else reaches: ``host`` itself when it is one, else 127.0.0.1."""
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    return host if local else "127.0.0.1"
