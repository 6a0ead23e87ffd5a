package peer;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/** How records and the store's values are written: JSON outside, fixed binary numbers in the store. */
final class Json {
    private static final ObjectMapper MAPPER = new ObjectMapper();
    private static final int CUSTOMER_BYTES = 5 * Long.BYTES + 2 * Integer.BYTES;

    private Json() {}

    static <T> Serde<T> of(Class<T> type) {
        return Serdes.serdeFrom(
                (topic, value) -> {
                    try {
                        return MAPPER.writeValueAsBytes(value);
                    } catch (IOException error) {
                        throw new UncheckedIOException(error);
                    }
                },
                (topic, bytes) -> {
                    try {
                        return bytes == null ? null : MAPPER.readValue(bytes, type);
                    } catch (IOException error) {
                        throw new UncheckedIOException(error);
                    }
                });
    }

    static Serde<Customer> customer() {
        return Serdes.serdeFrom(
                (topic, it) -> it == null ? null : ByteBuffer.allocate(CUSTOMER_BYTES)
                        .putLong(it.orders).putLong(it.amountMinor).putLong(it.latestUs).putLong(it.beforeUs)
                        .putLong(it.atUs).putInt(it.label).putInt(it.previous).array(),
                (topic, bytes) -> {
                    if (bytes == null) {
                        return null;
                    }
                    ByteBuffer from = ByteBuffer.wrap(bytes);
                    Customer it = new Customer();
                    it.orders = from.getLong();
                    it.amountMinor = from.getLong();
                    it.latestUs = from.getLong();
                    it.beforeUs = from.getLong();
                    it.atUs = from.getLong();
                    it.label = from.getInt();
                    it.previous = from.getInt();
                    return it;
                });
    }
}
