"""The figures of a report, one file each: a title that says what is seen, the data, and how it is drawn."""
