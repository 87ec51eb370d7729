"""Who asks, and what they may do: users, tokens, sessions, OpenID Connect, a proxy's header."""
