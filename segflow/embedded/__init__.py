"""Embedded servers for the demo, the tests and the benchmarks: a Kafka-compatible broker and a Redis.

They end with the process that started them. `broker()` and `redis()` take the first option that works on this machine
and say which. The classes behind them (`ApacheKafka`, `Tansu`, `RedisServer`) can also be killed, paused and started
again, which the fault tests need. Nothing here is part of a production worker.
"""
