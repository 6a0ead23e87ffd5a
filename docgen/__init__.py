"""The documentation: its reference pages, written from the code, and the site built of all documents."""
