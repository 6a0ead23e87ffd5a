package peer;

import java.time.Instant;

/** The job (benchmarks/peers/job.py): what is remembered of one customer. Times are microseconds since 1970. */
public class Customer {
    private static final long NEVER = Long.MIN_VALUE;
    private static final long REACTIVATED_GAP_US = 60L * 86_400_000_000L;
    private static final String[] LABELS = {null, "new", "active", "loyal", "reactivated"};

    public long orders;
    public long amountMinor;
    public long latestUs = NEVER;
    public long beforeUs = NEVER;
    /** Index into LABELS. */
    public int label;
    /** The label before the latest purchase: where it differs, that purchase made a change. */
    public int previous;
    /** When the latest purchase that was read occurred. */
    public long atUs;

    /** Adds a purchase. */
    public Customer buy(Event event) {
        atUs = microseconds(event.occurred_at);
        orders++;
        amountMinor += minor(event.amount);
        if (atUs >= latestUs) {
            beforeUs = latestUs;
            latestUs = atUs;
        } else if (atUs > beforeUs) {
            beforeUs = atUs;
        }
        previous = label;
        label = labelNow();
        return this;
    }

    /** The change that the latest purchase made, or null. */
    public Change change(String customerId) {
        if (label == previous) {
            return null;
        }
        Change change = new Change();
        change.customer_id = customerId;
        change.previous = LABELS[previous];
        change.current = LABELS[label];
        change.effective_at = text(atUs);
        change.orders = orders;
        change.amount_minor = amountMinor;
        change.last_purchase_at = text(latestUs);
        return change;
    }

    private int labelNow() {
        if (beforeUs != NEVER && latestUs - beforeUs >= REACTIVATED_GAP_US) {
            return 4;
        }
        return orders >= 5 ? 3 : orders >= 2 ? 2 : 1;
    }

    static long microseconds(String time) {
        Instant instant = Instant.parse(time);
        return instant.getEpochSecond() * 1_000_000 + instant.getNano() / 1000;
    }

    static String text(long microseconds) {
        return Instant.ofEpochSecond(
                Math.floorDiv(microseconds, 1_000_000L), Math.floorMod(microseconds, 1_000_000L) * 1000).toString();
    }

    private static long minor(String amount) {
        int point = amount.indexOf('.');
        return Long.parseLong(amount.substring(0, point)) * 100 + Long.parseLong(amount.substring(point + 1));
    }
}
