"""What a user asks for, put together from the rooms: train, score, audience, sync."""
