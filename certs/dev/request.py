"""``python -m certs.dev.request URL REQUEST OUT``: have a signing request certified, where there is no curl."""

from __future__ import annotations

import sys
import urllib.request
import uuid
from pathlib import Path


def main() -> None:
    """Send the file as the form of the development authority's ``/testca/sign``, and keep what comes back."""
    url, request, out = sys.argv[1:4]
    if not url.startswith(("http://", "https://")):
        sys.exit(f"{url} is no http(s) address")
    boundary, file = uuid.uuid4().hex, Path(request)
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="certreq"; filename="{file.name}"\r\n\r\n'
    body = head.encode() + file.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    query = urllib.request.Request(url, body, headers)  # the scheme was looked at
    with urllib.request.urlopen(query, timeout=30) as answer:
        Path(out).write_bytes(answer.read())


if __name__ == "__main__":
    main()
