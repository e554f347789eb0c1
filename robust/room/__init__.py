"""Rooms: people draw on their phones, the guard judges, the speaker's wall shows it."""
