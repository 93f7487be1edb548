"""Online learning: a serving model learns from outcomes."""
