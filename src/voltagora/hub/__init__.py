"""The hub: a broker inside the process, whose rights act at once.

It knows topics, sessions, last values and rights, and nothing of energy. Two halves:

* without input or output (`wire`, `topics`, `trie`, `broker`, `session`, `connection`): bytes,
  time and randomness are handed in, bytes come out;
* around it (`server`, `tcp`, `websocket`, `store`): sockets, TLS, SQLite, signals of the loop.
"""
