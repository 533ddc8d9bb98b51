"""A matchmaking server to copy: players queue over WebSockets and get the address of a game."""
