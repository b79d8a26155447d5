"""Media: users' video and sound files, found and decoded by the time a player shows them."""
