"""Who may use a server: users, sessions, OpenID Connect."""
