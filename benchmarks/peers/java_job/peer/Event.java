package peer;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;

/** What the job reads of a purchase. */
@JsonIgnoreProperties(ignoreUnknown = true)
public class Event {
    public String customer_id;
    public String occurred_at;
    public String amount;
}
