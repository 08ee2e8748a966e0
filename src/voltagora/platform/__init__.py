"""The platform: users, topics, services and rights on a broker. It knows topics, not vehicles."""
