"""Calls a service through the own gateway with sacbe_client."""

import json
import os
import sys

from sacbe_client import CallError, RetryRule, parse_client, parse_service
from sacbe_client.httpx import Gateway

client = parse_client(os.environ["CLIENT"])
service = parse_service(os.environ["SERVICE"])

with Gateway(os.environ["GATEWAY"], client, retry=RetryRule()) as gateway:
    try:
        answer = gateway.call(
            service,
            "POST",
            ["people", "7"],
            headers={"Content-Type": "application/json"},
            body=json.dumps({"weeks": 42}).encode(),
        )
    except CallError as error:
        print(error.type, error.message, error.detail, error.remedy("es"), sep="\n", file=sys.stderr)
        sys.exit(1)
    print(answer.status, answer.message_id, answer.body.decode())
