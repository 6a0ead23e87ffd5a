package peer;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.serialization.AbstractDeserializationSchema;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/** Flink: a keyed process function. Its argument is the state backend: rocksdb or hashmap. */
public final class Main {
    private Main() {}

    public static void main(String[] arguments) throws Exception {
        Map<String, String> place = System.getenv();
        Path state = Path.of(place.get("PEER_STATE"));
        Path checkpoints = state.resolve("checkpoints");
        Configuration options = new Configuration();
        options.setString("state.backend.type", arguments[0]);
        options.setString("execution.checkpointing.interval", "1 s");
        options.setString("execution.checkpointing.incremental", "true");
        options.setString("execution.checkpointing.dir", checkpoints.toUri().toString());
        options.setString("execution.checkpointing.externalized-checkpoint-retention", "RETAIN_ON_CANCELLATION");
        options.setString("execution.checkpointing.num-retained", "1");
        options.setString("pipeline.object-reuse", "true");
        options.setString("io.tmp.dirs", state.resolve("work").toString());
        options.setString("taskmanager.memory.managed.size", arguments[0].equals("rocksdb") ? "512m" : "0m");
        options.setString("restart-strategy.type", "disable");
        Optional<Path> latest = latest(checkpoints);
        latest.ifPresent(path -> options.setString("execution.state-recovery.path", path.toUri().toString()));
        Files.createDirectories(state.resolve("work"));

        StreamExecutionEnvironment job = StreamExecutionEnvironment.createLocalEnvironment(
                Runtime.getRuntime().availableProcessors(), options);
        KafkaSource<Event> purchases = KafkaSource.<Event>builder()
                .setBootstrapServers(place.get("PEER_BROKER"))
                .setTopics(place.get("PEER_INPUT"))
                .setGroupId(place.get("PEER_GROUP"))
                .setStartingOffsets(OffsetsInitializer.earliest())
                .setValueOnlyDeserializer(new Read())
                .build();
        KafkaSink<Change> changes = KafkaSink.<Change>builder()
                .setBootstrapServers(place.get("PEER_BROKER"))
                .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
                .setTransactionalIdPrefix(place.get("PEER_GROUP"))
                .setProperty("transaction.timeout.ms", "600000")
                .setRecordSerializer(KafkaRecordSerializationSchema.<Change>builder()
                        .setTopic(place.get("PEER_OUTPUT"))
                        .setKeySerializationSchema(
                                (SerializationSchema<Change>) it -> it.customer_id.getBytes(StandardCharsets.UTF_8))
                        .setValueSerializationSchema(new Write())
                        .build())
                .build();
        job.fromSource(purchases, WatermarkStrategy.noWatermarks(), "purchases")
                .keyBy(event -> event.customer_id)
                .process(new Segment())
                .sinkTo(changes);
        job.execute("segments");
    }

    /** The newest checkpoint that is complete. */
    private static Optional<Path> latest(Path checkpoints) throws IOException {
        if (!Files.exists(checkpoints)) {
            return Optional.empty();
        }
        try (Stream<Path> found = Files.walk(checkpoints, 3)) {
            return found.filter(path -> path.endsWith("_metadata"))
                    .max(Comparator.comparingLong(path -> path.toFile().lastModified()))
                    .map(Path::getParent);
        }
    }

    /** The job, a customer at a time. */
    private static final class Segment extends KeyedProcessFunction<String, Event, Change> {
        private transient ValueState<Customer> remembered;

        @Override
        public void open(OpenContext context) {
            remembered = getRuntimeContext().getState(new ValueStateDescriptor<>("customer", Customer.class));
        }

        @Override
        public void processElement(Event event, Context context, Collector<Change> out) throws IOException {
            Customer customer = remembered.value();
            if (customer == null) {
                customer = new Customer();
            }
            remembered.update(customer.buy(event));
            Change change = customer.change(event.customer_id);
            if (change != null) {
                out.collect(change);
            }
        }
    }

    /** An event from JSON. */
    private static final class Read extends AbstractDeserializationSchema<Event> {
        private transient ObjectMapper mapper;

        @Override
        public void open(InitializationContext context) {
            mapper = new ObjectMapper();
        }

        @Override
        public Event deserialize(byte[] message) throws IOException {
            return mapper.readValue(message, Event.class);
        }
    }

    /** A change as JSON. */
    private static final class Write implements SerializationSchema<Change> {
        private transient ObjectMapper mapper;

        @Override
        public void open(InitializationContext context) {
            mapper = new ObjectMapper();
        }

        @Override
        public byte[] serialize(Change change) {
            try {
                return mapper.writeValueAsBytes(change);
            } catch (IOException error) {
                throw new IllegalStateException(error);
            }
        }
    }
}
