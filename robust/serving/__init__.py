"""A guard at work: on streams, on folders, on many machines."""
