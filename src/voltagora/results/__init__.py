"""Records to tables, metrics, figures and a folder of files; knows nothing of agents or messages."""
