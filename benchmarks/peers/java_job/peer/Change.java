package peer;

/** A change of label, as it is published. */
public class Change {
    public String customer_id;
    public String previous;
    public String current;
    public String effective_at;
    public long orders;
    public long amount_minor;
    public String last_purchase_at;
}
