"""How a recommender orders the stations that have a free connector."""
