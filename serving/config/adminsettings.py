"""Settings of an admin API, one section of a server's settings. Times are seconds, sizes bytes."""

from __future__ import annotations

import ipaddress
from typing import Annotated

import msgspec

from serving.config.oidcsettings import OidcSettings


class AdminSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where an admin API listens and what it lets in."""

    # Where administrators connect, over TLS. Empty: this machine only. 0.0.0.0 is every address; behind a firewall only.
    host: str = ""
    port: int = 4000
    # Host names a request may name, comma-separated; empty: any.
    allowed_hostnames: str = ""
    # Networks that may use API keys, comma-separated.
    api_addresses: str = "0.0.0.0/0,::/0"
    # Networks that may manage API keys with name and password.
    key_management_addresses: str = "127.0.0.0/8,::1"
    # Requests from one address; 0 is no limit.
    requests_per_second: Annotated[int, msgspec.Meta(ge=0)] = 20
    requests_per_minute: Annotated[int, msgspec.Meta(ge=0)] = 600
    request_bytes: Annotated[int, msgspec.Meta(ge=1024)] = 50 * 1024
    upload_bytes: Annotated[int, msgspec.Meta(ge=1024)] = 10 * 1024 * 1024
    # A session ends when it was not used for so long.
    session_idle_s: Annotated[float, msgspec.Meta(gt=0)] = 1800.0
    # Wrong passwords of one name from one address before it is locked, and for how long.
    login_attempts: Annotated[int, msgspec.Meta(ge=1)] = 10
    login_lock_s: Annotated[float, msgspec.Meta(gt=0)] = 300.0
    # New API keys end after so many days unless asked otherwise; 0: never.
    api_key_days: Annotated[int, msgspec.Meta(ge=0)] = 0
    # Whether the description of the API is given to whoever asks, without a login.
    public_openapi: bool = False
    # Logging in with an OpenID provider, beside names and passwords.
    oidc: OidcSettings = OidcSettings()


def local_host(host: str) -> str:
    """An address of this machine that nobody else reaches: ``host`` itself when it is one, else 127.0.0.1."""
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    return host if local else "127.0.0.1"
