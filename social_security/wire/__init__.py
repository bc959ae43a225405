"""How systems speak: REST, SOAP, tokens, outbox, the client of the own gateway."""
