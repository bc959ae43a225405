#!/bin/sh
# Calls a service through the own gateway with curl.
set -eu
: "${GATEWAY:?the own gateway, as http://127.0.0.1:8080}" "${CLIENT:?who calls}" "${SERVICE:?what is called}"

id=$(cat /proc/sys/kernel/random/uuid)
headers=$(mktemp)
trap 'rm -f "$headers"' EXIT
body=$(curl --silent --show-error --max-time 90 --dump-header "$headers" \
    --header "X-Road-Client: $CLIENT" \
    --header "X-Road-Id: $id" \
    --header 'Content-Type: application/json' \
    --data-binary '{"weeks": 42}' \
    "$GATEWAY/r1/$SERVICE/people/7")

# A gateway's own error is told from a provider's answer by this header.
if grep -qi '^x-road-error:' "$headers"; then
    printf '%s\n' "$body" >&2
    exit 1
fi
printf '%s %s %s\n' "$(awk 'NR == 1 {print $2}' "$headers")" "$id" "$body"
