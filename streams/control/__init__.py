"""`segments.control`: definitions, cuts, fitted parameters and scans; a shard's part in a re-cut."""
