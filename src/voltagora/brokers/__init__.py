"""Gives rights to a broker: to the hub in process, to mosquitto as files, to RabbitMQ as answers over HTTP."""
