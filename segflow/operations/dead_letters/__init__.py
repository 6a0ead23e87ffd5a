"""Dead letters for people: read, counted, shown, sent again."""
