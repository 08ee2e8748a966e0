"""Gives rights to a broker: the hub in process, mosquitto as files, RabbitMQ as answers over HTTP."""
