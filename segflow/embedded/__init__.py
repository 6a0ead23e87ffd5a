"""A Kafka-compatible broker and a Redis for the demo, the tests and the benchmarks: started here, gone afterwards.

`broker()` and `redis()` take the first option that works on this machine and say which. The classes behind them
(`ApacheKafka`, `Tansu`, `RedisServer`) can also be killed, paused and started again, which the fault tests need.
Nothing here is part of a production worker.
"""
