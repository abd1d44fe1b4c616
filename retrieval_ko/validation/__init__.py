"""Is a collection or a file of it sound? All faults at once, with file and line, in memory that grows with ids, not with texts."""
