"""What a producer or consumer expects of a day, and how sure it is."""
