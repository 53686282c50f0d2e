"""Who may ask over HTTP, and how much: sockets, authentication, limits."""
