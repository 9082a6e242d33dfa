"""The broker as a process: amqtt inside it, or Mosquitto as its child, under one table."""
