"""HTTP/1.1 of the data plane on bytes: parsers without IO, one connection a class, no more than messages need."""
