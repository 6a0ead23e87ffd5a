package peer;

import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.KeyValueStore;

/** Kafka Streams: a DSL aggregate into a persistent store. Its argument is the processing guarantee. */
public final class Main {
    /** Segflow's own: all peers are asked for the same. */
    private static final int SESSION_MS = 8_000;

    private Main() {}

    public static void main(String[] arguments) throws InterruptedException {
        Map<String, String> place = System.getenv();
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(place.get("PEER_INPUT"), Consumed.with(Serdes.String(), Json.of(Event.class)))
                .groupByKey()
                .aggregate(
                        Customer::new,
                        (id, event, customer) -> customer.buy(event),
                        // Its record cache off, as each change must be published: with it only the latest of several is.
                        Materialized.<String, Customer, KeyValueStore<Bytes, byte[]>>as("customers")
                                .withKeySerde(Serdes.String())
                                .withValueSerde(Json.customer())
                                .withCachingDisabled())
                .toStream()
                .mapValues((id, customer) -> customer.change(id))
                .filter((id, change) -> change != null)
                .to(place.get("PEER_OUTPUT"), Produced.with(Serdes.String(), Json.of(Change.class)));

        Properties options = new Properties();
        options.put(StreamsConfig.APPLICATION_ID_CONFIG, place.get("PEER_GROUP"));
        options.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, place.get("PEER_BROKER"));
        options.put(StreamsConfig.STATE_DIR_CONFIG, place.get("PEER_STATE"));
        options.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, arguments[0]);
        options.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, Runtime.getRuntime().availableProcessors());
        options.put(StreamsConfig.TOPOLOGY_OPTIMIZATION_CONFIG, StreamsConfig.OPTIMIZE);
        options.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        options.put(StreamsConfig.consumerPrefix(ConsumerConfig.SESSION_TIMEOUT_MS_CONFIG), SESSION_MS);
        options.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");

        KafkaStreams streams = new KafkaStreams(builder.build(options), options);
        CountDownLatch ended = new CountDownLatch(1);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            Runtime.getRuntime().halt(1);
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close();
            ended.countDown();
        }));
        streams.start();
        ended.await();
    }
}
